// @ts-check
/** What the page says of the open room in its head, and of all rooms in the window's title. */

import { dotNode, showStatus } from "./dot.js";
import { el, named } from "./draw.js";
import { calledText, hereText, peerText } from "./wording.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {{here: import("./presence.js").Here | undefined, peer: import("./presencesync.js").Peer | undefined}} Others */

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

  /** @param {Timeline | undefined} timeline the open room @param {import("./wording.js").Called} called how it is called, or what stands in its place @param {Iterable<Timeline>} all @param {Others} others */
  draw(timeline, called, all, { here, peer }) {
    this.root.classList.toggle("empty", !timeline);
    const label = calledText(called);
    if (this.title.title !== label) this.title.replaceChildren(...named(called.name, called.id));
    this.title.title = label;
    this.title.hidden = !label;
    this.about.textContent = !timeline ? "" : peer ? peerText(peer) : about(timeline, called);
    this.line.classList.toggle("told", timeline?.kind === "direct");
    showStatus(this.dot, peer?.status);
    this.#drawHere(timeline?.kind === "direct" ? undefined : here);
    this.input.placeholder = timeline ? `Message ${label}` : "";
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

/** @param {Timeline} timeline @param {import("./wording.js").Called} called */
function about({ kind, room, archived, isBlocked }, called) {
  if (isBlocked) return "Blocked by you";
  const what = KINDS[kind] ?? (called.id ? "Public room" : `Public room · ${room}`); // once is enough
  return archived ? `${what} · archived` : what;
}
