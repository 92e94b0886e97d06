// @ts-check
/** The rooms that one is in, as the latest of several lists has them. No DOM, no network. */

import { Lookalikes } from "./lookalikes.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("warren-client").RoomInfo} RoomInfo */
/** @typedef {import("./wording.js").Called} Called */
/** @typedef {{room: string, title: string, peer?: string}} Titled  `peer`: the other one of a direct room */

export class Rooms {
  /** @type {Map<string, Timeline>} */ #timelines = new Map();
  /** Where our part in a room ended: a list that has the room and is older is wrong. @type {Map<string, number>} */ #ended = new Map();
  /** How often the rooms were changed by what is newer than lists that were asked for before. */ version = 0;

  /** @param {import("./memory.js").Memory} memory @param {import("./names.js").Names} names */
  constructor(memory, names) {
    this.memory = memory;
    this.names = names;
  }

  /** @param {string} room */
  get(room) {
    return this.#timelines.get(room);
  }

  get all() {
    return [...this.#timelines.values()];
  }

  /** Those that are not hidden. */
  get shown() {
    return this.all.filter(({ isHidden }) => !isHidden);
  }

  /** Whether one has blocked somebody, as far as their direct room says it. @param {string} user */
  isBlocked(user) {
    return this.all.some(({ peer, isBlocked }) => isBlocked && peer === user);
  }

  /** What one has decided about somebody. @param {import("warren-client").RoomEvent} event of one's inbox @returns {Timeline | undefined} the direct room, if there is one */
  decide(event) {
    const timeline = this.all.find(({ peer }) => peer && peer === event.user);
    timeline?.decide(event);
    if (timeline) this.version += 1;
    return timeline;
  }

  /** How rooms are called, with the id of those whose title does not tell them from others. @returns {(titled: Titled) => Called} */
  called() {
    const titles = new Lookalikes();
    for (const { room, title, peer } of this.all) peer ? this.names.called(peer, title) : titles.meet(room, title);
    return ({ room, title, peer }) => {
      if (peer) return this.names.called(peer, title);
      titles.meet(room, title);
      return { name: title, id: titles.idOf(room, title) };
    };
  }

  /**
   * From now on these. @param {RoomInfo[]} list @param {string} me
   * @param {boolean} [partial] whether rooms that the list has not stay
   */
  set(list, me, partial = false) {
    if (partial) this.version += 1;
    const known = this.#timelines;
    this.#timelines = new Map(partial ? known : []);
    for (const info of list) {
      if ((this.#ended.get(info.room) ?? -1) >= (info.head ?? 0)) continue;
      const timeline = known.get(info.room) ?? this.#newTimeline(info);
      timeline.learn(info, me);
      if (!partial || !known.has(info.room)) timeline.learnAffair(info); // the Streamlit page's list may be older
      timeline.number = Math.max(timeline.number, info.number ?? 0);
      timeline.read = Math.max(timeline.read, info.read ?? 0);
      this.#timelines.set(info.room, timeline);
    }
  }

  /** One is no longer in the room since `seq`. @param {string} room @param {number} seq @returns {Timeline | undefined} the room, if it was here */
  drop(room, seq) {
    const timeline = this.#timelines.get(room);
    this.#ended.set(room, Math.max(seq, this.#ended.get(room) ?? 0));
    this.#timelines.delete(room);
    if (timeline) this.version += 1;
    return timeline;
  }

  /** @param {RoomInfo} info */
  #newTimeline(info) {
    const { room, kind, number = 0, read = 0, peer } = info;
    const timeline = new Timeline(info);
    // What was said before one came is not unread. (The server keeps no read marks yet; where it has one, it counts.)
    timeline.read = this.memory.read(room, read || (kind === "direct" ? 0 : number));
    if (peer) this.names.meet(peer.user, peer.name);
    return timeline;
  }
}
