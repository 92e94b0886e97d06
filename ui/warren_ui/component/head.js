// @ts-check
/** What the page says of the open room in its head, and of all rooms in the window's title. */

import { dotNode, showStatus } from "./dot.js";
import { el } from "./draw.js";
import { hereText, peerText } from "./wording.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {{here: import("./presence.js").Here | undefined, peer: import("./company.js").Peer | undefined}} Others */

const KINDS = /** @type {Record<string, string>} */ ({ private: "Private room", direct: "Conversation of two" });

export class Head {
  /** @param {import("./page.js").Parts} parts */
  constructor({ title, about, people, input, root }) {
    this.title = title;
    this.about = el("span");
    this.dot = dotNode({ told: true });
    this.line = about;
    this.people = people;
    this.short = el("span", { class: "short" });
    this.long = el("span", { class: "long", "data-testid": "here" });
    this.input = input;
    this.root = root;
    about.append(this.dot, this.about);
    people.append(this.short, this.long);
  }

  /** @param {Timeline | undefined} timeline the open room @param {Iterable<Timeline>} all @param {boolean} online @param {string} gone @param {Others} others */
  draw(timeline, all, online, gone, { here, peer }) {
    this.root.classList.toggle("empty", !timeline);
    this.title.textContent = timeline?.title ?? (online && !gone ? "Welcome" : "");
    this.about.textContent = !timeline ? "" : peer ? peerText(peer) : about(timeline);
    this.line.classList.toggle("told", Boolean(peer));
    showStatus(this.dot, peer?.status);
    this.#drawHere(timeline?.kind === "direct" ? undefined : here);
    this.input.placeholder = timeline ? `Message ${timeline.title}` : "";
    const unread = [...all].reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread > 99 ? "99+" : unread}) Warren` : "Warren";
  }

  /** How many are in the room, on the button that shows them. @param {import("./presence.js").Here | undefined} here */
  #drawHere(here) {
    const text = here ? hereText(here) : "";
    const label = ["People and settings", text].filter(Boolean).join(": ");
    if (this.people.title === label) return;
    this.people.title = label;
    this.people.setAttribute("aria-label", label);
    this.short.textContent = here ? (here.online + here.away).toLocaleString() : "";
    this.long.textContent = text;
  }
}

/** @param {Timeline} timeline */
function about({ kind, room, archived }) {
  const what = KINDS[kind] ?? `Public room · ${room}`;
  return archived ? `${what} · archived` : what;
}
