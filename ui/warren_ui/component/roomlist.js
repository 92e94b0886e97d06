// @ts-check
/** The list of rooms, and which of them matter most. */

import { dotNode, showStatus } from "./dot.js";
import { el, roomIcon } from "./draw.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./presence.js").Status} Status */

/** As people look for them: rooms by title, then conversations by name, what is archived last. @param {Iterable<Timeline>} timelines */
export function inListOrder(timelines) {
  const group = (/** @type {Timeline} */ { kind, archived }) => (archived ? 2 : kind === "direct" ? 1 : 0);
  return [...timelines].sort((a, b) => group(a) - group(b) || a.title.localeCompare(b.title) || a.room.localeCompare(b.room));
}

/**
 * By what they mean to the person: opened lately, then unread, then busy. The server joins only so many.
 * @param {Iterable<Timeline>} timelines @param {string} active @param {string[]} opened the last one first
 */
export function byImportance(timelines, active, opened) {
  const recent = new Map(opened.map((room, place) => [room, place]));
  const place = (/** @type {Timeline} */ { room }) => (room === active ? -1 : (recent.get(room) ?? recent.size));
  return [...timelines].sort((a, b) => place(a) - place(b) || b.unread - a.unread || b.number - a.number);
}

export class RoomList {
  #drawn = "";
  /** By room. @type {Map<string, HTMLElement>} */ #dots = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
  }

  /** @param {Iterable<Timeline>} rooms @param {string} active @param {(timeline: Timeline) => Status | undefined} statusOf the other one of a direct room */
  draw(rooms, active, statusOf) {
    const timelines = inListOrder(rooms);
    this.#drawList(timelines, active);
    for (const timeline of timelines) showStatus(/** @type {HTMLElement} */ (this.#dots.get(timeline.room)), statusOf(timeline));
  }

  /** @param {Timeline[]} timelines @param {string} active */
  #drawList(timelines, active) {
    const { list } = this;
    const wanted = JSON.stringify(timelines.map(({ room, title, kind, unread, archived }) => [room, title, kind, unread, archived, room === active]));
    if (this.#drawn === wanted) return;
    this.#drawn = wanted;
    const focused = /** @type {ShadowRoot} */ (list.getRootNode()).activeElement?.getAttribute("data-room");
    this.#dots = new Map(timelines.map(({ room }) => [room, dotNode({ told: false })]));
    list.replaceChildren(...timelines.map((timeline) => roomNode(timeline, timeline.room === active, this.#dots.get(timeline.room) ?? "")));
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const again = focused && list.querySelector(`[data-room="${CSS.escape(focused)}"]`);
    if (again instanceof HTMLElement) again.focus();
  }
}

/** @param {Timeline} timeline @param {boolean} active @param {Node | string} dot */
function roomNode(timeline, active, dot) {
  const { room, title, unread, archived } = timeline;
  const count = unread > 99 ? "99+" : String(unread);
  const badge = unread && !active ? el("span", { class: "count", "data-testid": "unread" }, count, el("span", { class: "unseen" }, " unread")) : "";
  const classes = ["room", unread && !active ? "unread" : "", archived ? "archived" : ""].filter(Boolean).join(" ");
  const button = el(
    "button",
    { type: "button", class: classes, "data-testid": "room-item", "data-room": room, "aria-current": active && "true" },
    el("span", { class: "kind" }, roomIcon(timeline), dot),
    el("span", { class: "title", dir: "auto" }, title),
    badge,
  );
  return el("li", {}, button);
}
