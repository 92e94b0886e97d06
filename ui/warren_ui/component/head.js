// @ts-check
/** What the page says of the open room in its head, and of all rooms in the window's title. */

/** @typedef {import("./timeline.js").Timeline} Timeline */

const KINDS = /** @type {Record<string, string>} */ ({ private: "Private room", direct: "Conversation of two" });

export class Head {
  /** @param {import("./page.js").Parts} parts */
  constructor({ title, about, input, root }) {
    this.title = title;
    this.about = about;
    this.input = input;
    this.root = root;
  }

  /** @param {Timeline | undefined} timeline the open room @param {Iterable<Timeline>} all @param {boolean} online @param {string} gone */
  draw(timeline, all, online, gone) {
    this.root.classList.toggle("empty", !timeline);
    this.title.textContent = timeline?.title ?? (online && !gone ? "Welcome" : "");
    this.about.textContent = timeline ? about(timeline) : "";
    this.input.placeholder = timeline ? `Message ${timeline.title}` : "";
    const unread = [...all].reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread > 99 ? "99+" : unread}) Warren` : "Warren";
  }
}

/** @param {Timeline} timeline */
function about({ kind, room, archived }) {
  const what = KINDS[kind] ?? `Public room · ${room}`;
  return archived ? `${what} · archived` : what;
}
