// @ts-check
/** The rooms that one is in, as the latest of several lists has them. No DOM, no network. */

import { Timeline } from "./timeline.js";

/** @typedef {import("warren-client").RoomInfo} RoomInfo */

export class Rooms {
  /** @type {Map<string, Timeline>} */ #timelines = new Map();
  /** Where our part in a room ended: a list that has the room and is older is wrong. @type {Map<string, number>} */ #ended = new Map();
  /** How often the rooms were changed: an answer that was overtaken is to be dropped. */ version = 0;

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

  /**
   * From now on these. @param {RoomInfo[]} list @param {string} me
   * @param {boolean} [partial] whether rooms that the list has not stay
   */
  set(list, me, partial = false) {
    this.version += 1;
    const known = this.#timelines;
    this.#timelines = new Map(partial ? known : []);
    for (const info of list) {
      if ((this.#ended.get(info.room) ?? -1) >= (info.head ?? 0)) continue;
      const timeline = known.get(info.room) ?? this.#newTimeline(info);
      timeline.learn(info, me);
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
    if (peer) this.names.learn(peer.user, peer.name);
    return timeline;
  }
}
