// @ts-check
/** The list of rooms, and which of them matter most. */

import { dotNode, showStatus } from "./dot.js";
import { el, named, roomIcon } from "./draw.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./presence.js").Status} Status */
/** @typedef {import("./wording.js").TitleOf} TitleOf */

/** As people look for them: rooms by title, then conversations by name, what is archived last. @param {Iterable<Timeline>} timelines */
export function inListOrder(timelines) {
  const group = (/** @type {Timeline} */ { kind, archived }) => (archived ? 2 : kind === "direct" ? 1 : 0);
  return [...timelines].sort((a, b) => group(a) - group(b) || a.title.localeCompare(b.title) || a.room.localeCompare(b.room));
}

/**
 * By what they mean to the person: opened lately, then unread, then busy; hidden ones last, which are to be followed all the same. The server joins only so many.
 * @param {Iterable<Timeline>} timelines @param {string} active @param {string[]} opened the last one first
 */
export function byImportance(timelines, active, opened) {
  const recent = new Map(opened.map((room, place) => [room, place]));
  const place = (/** @type {Timeline} */ { room }) => (room === active ? -1 : (recent.get(room) ?? recent.size));
  return [...timelines].sort((a, b) => Number(a.isHidden) - Number(b.isHidden) || place(a) - place(b) || b.unread - a.unread || b.number - a.number);
}

export class RoomList {
  #drawn = "";
  /** By room. @type {Map<string, HTMLElement>} */ #dots = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
  }

  /** @param {Iterable<Timeline>} rooms @param {string} active @param {TitleOf} titleOf @param {(timeline: Timeline) => Status | undefined} statusOf the other one of a direct room */
  draw(rooms, active, titleOf, statusOf) {
    const timelines = inListOrder(rooms);
    this.#drawList(timelines, active, titleOf);
    for (const timeline of timelines) showStatus(/** @type {HTMLElement} */ (this.#dots.get(timeline.room)), statusOf(timeline));
  }

  /** @param {Timeline[]} timelines @param {string} active @param {TitleOf} titleOf */
  #drawList(timelines, active, titleOf) {
    const { list } = this;
    const wanted = JSON.stringify(timelines.map((timeline) => [timeline.room, titleOf(timeline), timeline.kind, timeline.unread, timeline.archived, timeline.isBlocked, timeline.room === active]));
    if (this.#drawn === wanted) return;
    this.#drawn = wanted;
    const focused = /** @type {ShadowRoot} */ (list.getRootNode()).activeElement?.getAttribute("data-room");
    this.#dots = new Map(timelines.map(({ room }) => [room, dotNode({ told: false })]));
    list.replaceChildren(...timelines.map((timeline) => roomNode(timeline, titleOf(timeline), timeline.room === active, this.#dots.get(timeline.room) ?? "")));
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const again = focused && list.querySelector(`[data-room="${CSS.escape(focused)}"]`);
    if (again instanceof HTMLElement) again.focus();
  }
}

/** @param {Timeline} timeline @param {import("./wording.js").Called} called @param {boolean} active @param {Node | string} dot */
function roomNode(timeline, called, active, dot) {
  const { room, unread, archived, isBlocked } = timeline;
  const count = unread > 99 ? "99+" : String(unread);
  const badge = unread && !active ? el("span", { class: "count", "data-testid": "unread" }, count, el("span", { class: "unseen" }, " unread")) : "";
  const classes = ["room", unread && !active ? "unread" : "", archived ? "archived" : ""].filter(Boolean).join(" ");
  const button = el(
    "button",
    { type: "button", class: classes, "data-testid": "room-item", "data-room": room, "aria-current": active && "true" },
    el("span", { class: "kind" }, roomIcon(timeline), dot),
    el("span", { class: "title", dir: "auto" }, ...named(called.name, called.id)),
    isBlocked ? el("span", { class: "unseen" }, " blocked") : "",
    badge,
  );
  return el("li", {}, button);
}
