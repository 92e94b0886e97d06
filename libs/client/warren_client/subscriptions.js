// @ts-check
/** The rooms that are followed: joins them on whatever connection there is, and gives each event once and in order. No network. */

import { backoff, reasonable } from "./backoff.js";
import { sentence } from "./http.js";

/** @typedef {import("./events.js").RoomEvent} RoomEvent */
/**
 * Where we stand in a room. `epoch` is null until the first `joined`; `number` and `read` are what was told last. `asked`,
 * `waiting` (to ask again) and `joined` rooms count against the connection's limit; `out` and `denied` ones do not.
 * @typedef {{seq: number, epoch: string | null, number: number, read: number,
 *   place: "out" | "asked" | "waiting" | "joined" | "denied", tries: number}} Cursor
 */
/** @typedef {{room: string, epoch: string, head: number, number?: number, read?: number, reset: boolean}} Joined */
/** @typedef {{detail: string, temporary: boolean, retry_after?: number}} Refusal */
/**
 * `transmit` says a frame if there is a connection; `own` is told each event before `emit` is, which gets what the page
 * is to hear.
 * @typedef {{transmit: (frame: object) => void, isOnline: () => boolean,
 *   own: (room: string, event: RoomEvent) => void, emit: (type: any, detail: any) => void}} Owner
 */

/** What may be a room. Nothing else is asked for: one bad id would spoil a request for many. */
const ROOM = /^(@me|[a-z0-9][a-z0-9_-]{0,63})$/;
const RETRY_AFTER_MS = 200;

export class Subscriptions {
  /** The most important first. @type {Map<string, Cursor>} */ #cursors = new Map();
  /** @type {Set<ReturnType<typeof setTimeout>>} */ #retries = new Set();
  /** How many rooms one connection may join. */ limit = Infinity;

  /** @param {Owner} owner */
  constructor(owner) {
    this.owner = owner;
  }

  /** Whether there are more rooms than one connection may join: the least important ones are not live. */
  get overflows() {
    return this.#cursors.size > this.limit;
  }

  /** Those that are followed, the most important first. */
  get rooms() {
    return [...this.#cursors.keys()];
  }

  /** @param {string} room */
  isJoined(room) {
    return this.#cursors.get(room)?.place === "joined";
  }

  /** Follow exactly these, the most important first. @param {string[]} rooms */
  follow(rooms) {
    const known = this.#cursors;
    this.#cursors = new Map(rooms.map((room) => [room, known.get(room) ?? newCursor()]));
    for (const [room, cursor] of known) {
      if (!this.#cursors.has(room)) this.#leave(room, cursor);
    }
    this.settle();
  }

  /** What a connection that may join so many is to be asked for. @param {number} limit @returns {import("./transport.js").Join[]} */
  joins(limit) {
    const wanted = [...this.#cursors].slice(0, limit).filter(([room, { place }]) => ROOM.test(room) && place !== "denied" && place !== "waiting");
    return wanted.map(([room, cursor]) => joinOf(room, cursor));
  }

  /** Nothing is joined any more: the connection is another one. */
  lost() {
    for (const retry of this.#retries) clearTimeout(retry);
    this.#retries.clear();
    for (const cursor of this.#cursors.values()) cursor.place = "out";
  }

  /** Leave and join until the most important rooms are the joined ones. A room that is left keeps its cursor. */
  settle() {
    if (!this.owner.isOnline()) return;
    const chosen = [...this.#cursors].slice(0, this.limit);
    for (const [room, cursor] of [...this.#cursors].slice(this.limit)) {
      if (cursor.place === "joined") this.#leave(room, cursor);
    }
    let held = [...this.#cursors.values()].filter(({ place }) => place !== "out" && place !== "denied").length;
    for (const [room, cursor] of chosen) {
      if (cursor.place !== "out") continue;
      if (++held > this.limit) return; // one that is being joined can't be left yet: its answer settles again
      this.#join(room, cursor);
    }
  }

  /** Join again, going on at our cursor: what does not last is told anew then. @param {string} room */
  rejoin(room) {
    const cursor = this.#cursors.get(room);
    if (cursor?.place === "joined") this.#join(room, cursor);
  }

  /** @param {string} room @param {Cursor} cursor */
  #join(room, cursor) {
    if (!ROOM.test(room)) return this.#deny(room, cursor, "That is no room's id.");
    cursor.place = "asked";
    this.owner.transmit(joinOf(room, cursor));
  }

  /** @param {string} room @param {Cursor} cursor */
  #leave(room, cursor) {
    if (cursor.place === "joined") this.owner.transmit({ type: "leave", room });
    cursor.place = "out";
    this.owner.emit("unfollowed", { room });
  }

  /** @param {string} room @param {Cursor} cursor @param {string} detail */
  #deny(room, cursor, detail) {
    cursor.place = "denied";
    this.owner.emit("denied", { room, detail });
  }

  // --- what the server says -------------------------------------------------------------------------------------

  /** @param {Joined} frame */
  joined({ room, epoch, head, number, read, reset }) {
    const cursor = this.#cursors.get(room);
    if (!cursor) return this.owner.transmit({ type: "leave", room }); // let go of meanwhile
    const fresh = cursor.epoch === null || reset;
    if (fresh) cursor.seq = head; // nothing is replayed: the live events begin after the head
    cursor.epoch = epoch;
    cursor.number = number ?? cursor.number;
    cursor.read = read ?? cursor.read;
    cursor.place = "joined";
    cursor.tries = 0;
    this.owner.emit("joined", { room, number: cursor.number, read: cursor.read, fresh });
    this.settle();
  }

  /** The subscription has ended by itself, or as we asked. @param {{room: string, seq?: number | null, because?: string | null}} frame */
  left({ room, seq, because }) {
    const cursor = this.#cursors.get(room);
    if (!because || !cursor) return;
    if (because === "access") {
      [cursor.place, cursor.epoch] = ["out", null]; // the room is another now: one more try, as if it were the first
      return this.settle();
    }
    cursor.place = "denied";
    this.owner.emit("left", { room, seq: seq ?? 0, because });
    this.settle();
  }

  /** @param {{room: string, events: RoomEvent[]}} frame */
  received({ room, events }) {
    const cursor = this.#cursors.get(room);
    if (!cursor || cursor.epoch === null) return;
    const next = [];
    for (const event of events) {
      if (event.seq <= cursor.seq) continue; // seen: a replay may overlap the live events
      if (event.seq > cursor.seq + 1) {
        if (cursor.place === "joined") this.#join(room, cursor); // a hole: have all after our cursor replayed
        break;
      }
      cursor.seq = event.seq;
      cursor.number = event.number ?? cursor.number;
      this.owner.own(room, event);
      next.push(event);
    }
    if (next.length) this.owner.emit("events", { room, events: next });
  }

  /** A join was refused. @param {string} room @param {Refusal} refusal */
  refused(room, { detail, temporary, retry_after }) {
    const cursor = this.#cursors.get(room);
    if (cursor?.place !== "asked" && cursor?.place !== "joined") return;
    if (temporary) return this.#joinLater(cursor, pause(cursor.tries++, retry_after));
    this.#deny(room, cursor, sentence(detail));
    this.settle();
  }

  /** Whether the room is still among those to join is judged anew then. @param {Cursor} cursor @param {number} ms */
  #joinLater(cursor, ms) {
    cursor.place = "waiting";
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      if (cursor.place === "waiting") cursor.place = "out";
      this.settle();
    }, ms);
    this.#retries.add(retry);
  }
}

/** @returns {Cursor} */
function newCursor() {
  return { seq: 0, epoch: null, number: 0, read: 0, place: "out", tries: 0 };
}

/** @param {string} room @param {Cursor} cursor @returns {import("./transport.js").Join} */
function joinOf(room, { seq, epoch }) {
  return { type: "join", room, ...(epoch === null ? {} : { since: seq, epoch }) };
}

/** How long to wait before what was refused is said again, in ms. @param {number} tries @param {number} [retryAfter] in seconds */
export function pause(tries, retryAfter = 0) {
  return Math.max(RETRY_AFTER_MS, reasonable(retryAfter * 1_000)) + backoff(tries + 1);
}
