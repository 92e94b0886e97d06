// @ts-check
/**
 * Warren's client in the browser: all rooms over one connection, exact resume, an outbox. It draws nothing.
 *
 * What it promises (invariants I1, I3 and I5 of the design): events of a room come once and in the order of their seq,
 * whatever happens to the connection; what was sent is sent again, with the same key, until it is acked or refused for good.
 *
 * The seam: a client served by the gateway (`/client.js`) may take the place of this file and of those it imports, if it
 * emits the same events.
 */

import { Api, REQUEST_TIMEOUT_MS, sentence } from "./api.js";
import { Connection, backoff } from "./connection.js";
import { Outbox } from "./outbox.js";

/** @typedef {{id: string, name: string}} Person */
/**
 * @typedef {{seq: number, type: string, number?: number, id: string, sender: string, name: string, key: string,
 *   at: string, text?: string, title?: string, kind?: string, user?: string, role?: string, until?: string, reason?: string}} RoomEvent
 */
/**
 * Where we stand in a room: `epoch` is null until the first `joined`; `asked` and `joined` rooms count against the
 * connection's limit, `out` and `denied` ones do not.
 * @typedef {{seq: number, epoch: string | null, place: "out" | "asked" | "joined" | "denied", tries: number}} Cursor
 */

const RETRY_AFTER_MS = 200;
/** A new token is asked for so long before the present one expires, or at half its time if that is later. */
const RENEW_BEFORE_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** The close code for a token that is no (longer) good. */
export const TOKEN_REFUSED = 4503;

/**
 * Emits CustomEvents: `state` {state, code}, `welcome` {user, limits}, `joined` {room, number, read, fresh},
 * `events` {room, events}, `stored` {room, event}, `outbox` {room}, `denied` {room, detail},
 * `left` {room, seq, because}, `expiring` {}, `presence` and `typing` (the frames, of joined rooms), `unfollowed` {room},
 * `throttled` {room?, seconds}: what was said of typing in the room, or without one of the status, was too much.
 * `fresh` joins start at the room's head: whoever shows history loads it (again) then.
 */
export class WarrenClient extends EventTarget {
  /** The rooms that we follow, the most important first. @type {Map<string, Cursor>} */ #cursors = new Map();
  /** When each unanswered message was sent. @type {Map<string, number>} */ #inFlight = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #resend;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #expiry;
  #roomLimit = Infinity;
  #refusals = 0;
  #token;
  #connection;

  /** @param {{gateways: string[], token: string, user: Person | null, storage: Storage}} options */
  constructor({ gateways, token, user, storage }) {
    super();
    this.#token = token;
    this.user = user;
    this.outbox = new Outbox(storage);
    this.api = new Api({ gateway: () => this.gateway, token: () => this.#token, expired: () => this.#connection.end(TOKEN_REFUSED) });
    this.#connection = new Connection(gateways, token, {
      state: (state, code) => this.#stateChanged(state, code),
      frame: (frame) => this.#hear(frame),
      lost: () => this.#lost(),
      beat: () => this.#beat(),
    });
  }

  /** The base URL of the gateway in use. */
  get gateway() {
    return this.#connection.gateway;
  }

  get state() {
    return this.#connection.state;
  }

  /** Whether there are more rooms than one connection may join: the least important ones are not live. */
  get overflows() {
    return this.#cursors.size > this.#roomLimit;
  }

  start() {
    this.#connection.start();
  }

  stop() {
    clearTimeout(this.#expiry);
    this.#connection.stop();
  }

  /** Go on with a newer token of the same person, without a new connection. @param {string} token */
  renew(token) {
    this.#token = token;
    this.#connection.renew(token);
  }

  /** Try again now: the person asked for it. */
  reconnect() {
    this.#connection.reconnect();
  }

  /** Follow exactly these rooms, the most important first: so many are joined as the server allows. @param {string[]} rooms */
  follow(rooms) {
    const known = this.#cursors;
    this.#cursors = new Map(rooms.map((room) => [room, known.get(room) ?? { seq: 0, epoch: null, place: "out", tries: 0 }]));
    for (const [room, cursor] of known) {
      if (!this.#cursors.has(room)) this.#leave(room, cursor);
    }
    this.#settle();
    this.#drain();
  }

  /** Does the gateway send us the room's events now? @param {string} room */
  isJoined(room) {
    return this.#cursors.get(room)?.place === "joined";
  }

  /** Join again, going on at our cursor: what does not last is told anew then. @param {string} room */
  rejoin(room) {
    const cursor = this.#cursors.get(room);
    if (cursor?.place === "joined") this.#join(room, cursor);
  }

  /** Say that the person is typing. @param {string} room */
  typing(room) {
    if (this.isJoined(room)) this.#connection.transmit({ type: "typing", room });
  }

  /** Say whether anybody is at this device. @param {"online" | "away"} status */
  report(status) {
    if (this.state === "online") this.#connection.transmit({ type: "status", status });
  }

  /** Say something. It is in the outbox when this returns. @param {string} room @param {string} text */
  send(room, text) {
    if (!this.user) return;
    this.outbox.add(this.user.id, room, text);
    this.#emit("outbox", { room });
    this.#drain();
  }

  /** Send a refused message again, with its key. @param {string} key */
  retry(key) {
    const entry = this.user && this.outbox.mark(this.user.id, key, null);
    if (entry) this.#emit("outbox", { room: entry.room });
    this.#drain();
  }

  /** Forget a refused message. @param {string} key */
  discard(key) {
    const entry = this.user && this.outbox.take(this.user.id, key);
    if (entry) this.#emit("outbox", { room: entry.room });
  }

  /** Send nothing more of what waits for this room: one is not in it any more. @param {string} room */
  forget(room) {
    if (this.user) this.outbox.drop(this.user.id, room);
  }

  /** A page of history, newest last. @param {string} room @param {number} [before] @returns {Promise<{messages: RoomEvent[], notes: RoomEvent[], more: boolean}>} */
  async history(room, before) {
    const page = await this.api.history(room, before);
    page.messages.forEach((/** @type {RoomEvent} */ event) => this.#settleOwn(room, event));
    return page;
  }

  // --- the connection -------------------------------------------------------------------------------------------

  /** @param {import("./connection.js").State} state @param {number} code */
  #stateChanged(state, code) {
    this.#emit("state", { state, code });
    this.#settle();
    this.#drain();
  }

  #lost() {
    clearTimeout(this.#resend);
    this.#inFlight.clear();
    for (const cursor of this.#cursors.values()) cursor.place = "out";
  }

  #beat() {
    const oldest = Math.min(...this.#inFlight.values());
    if (Date.now() - oldest > REQUEST_TIMEOUT_MS) this.#sendAgain();
  }

  /** @param {any} frame */
  #hear(frame) {
    switch (frame.type) {
      case "welcome": return this.#welcomed(frame);
      case "renewed": return this.#expireIn(frame.expires_in);
      case "joined": return this.#joined(frame);
      case "left": return this.#left(frame);
      case "events": return this.#received(frame);
      case "ack": return this.#acked(frame);
      case "error": return this.#refused(frame);
      case "presence": case "typing": return this.isJoined(frame.room) ? this.#emit(frame.type, frame) : undefined;
      default: // pong, and whatever a newer gateway says
    }
  }

  /** @param {{user: Person, limits: {rooms: number}, expires_in?: number}} frame */
  #welcomed({ user, limits, expires_in }) {
    this.user = user;
    this.#roomLimit = limits.rooms;
    this.#expireIn(expires_in);
    this.#emit("welcome", { user, limits });
  }

  /** @param {number | undefined} seconds until the token expires */
  #expireIn(seconds) {
    clearTimeout(this.#expiry);
    if (seconds === undefined) return;
    const wait = Math.max(seconds * 1_000 - RENEW_BEFORE_MS, seconds * 500);
    if (wait < LONGEST_TIMER_MS) this.#expiry = setTimeout(() => this.#emit("expiring", {}), wait);
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** Leave and join until the most important rooms are the joined ones. A room that is left keeps its cursor. */
  #settle() {
    if (this.state !== "online") return;
    const chosen = [...this.#cursors].slice(0, this.#roomLimit);
    for (const [room, cursor] of [...this.#cursors].slice(this.#roomLimit)) {
      if (cursor.place === "joined") this.#leave(room, cursor);
    }
    let held = [...this.#cursors.values()].filter(({ place }) => place === "joined" || place === "asked").length;
    for (const [room, cursor] of chosen) {
      if (cursor.place !== "out") continue;
      if (++held > this.#roomLimit) return; // one that is being joined can't be left yet: its answer settles again
      this.#join(room, cursor);
    }
  }

  /** @param {string} room @param {Cursor} cursor */
  #join(room, cursor) {
    cursor.place = "asked";
    const resume = cursor.epoch === null ? {} : { since: cursor.seq, epoch: cursor.epoch };
    this.#connection.transmit({ type: "join", room, ...resume });
  }

  /** @param {string} room @param {Cursor} cursor */
  #leave(room, cursor) {
    if (cursor.place === "joined") this.#connection.transmit({ type: "leave", room });
    cursor.place = "out";
    this.#emit("unfollowed", { room });
  }

  /** @param {{room: string, epoch: string, head: number, number: number, read: number, reset: boolean}} frame */
  #joined(frame) {
    const cursor = this.#cursors.get(frame.room);
    if (!cursor) return this.#connection.transmit({ type: "leave", room: frame.room }); // let go of meanwhile
    const fresh = cursor.epoch === null || frame.reset;
    if (fresh) cursor.seq = frame.head; // nothing is replayed: the live events begin after the head
    cursor.epoch = frame.epoch;
    cursor.place = "joined";
    cursor.tries = 0;
    this.#emit("joined", { room: frame.room, number: frame.number, read: frame.read, fresh });
    this.#settle();
  }

  /** The subscription has ended by itself, or as we asked. @param {{room: string, seq?: number, because?: string}} frame */
  #left({ room, seq = 0, because }) {
    const cursor = this.#cursors.get(room);
    if (!because || !cursor) return;
    if (because === "access") {
      [cursor.place, cursor.epoch] = ["out", null]; // the room is another now: one more try, as if it were the first
      return this.#settle();
    }
    cursor.place = "denied";
    this.#emit("left", { room, seq, because });
    this.#settle();
  }

  /** @param {{room: string, events: RoomEvent[]}} frame */
  #received(frame) {
    const cursor = this.#cursors.get(frame.room);
    if (!cursor || cursor.epoch === null) return;
    const events = [];
    for (const event of frame.events) {
      if (event.seq <= cursor.seq) continue; // seen: a replay may overlap the live events
      if (event.seq > cursor.seq + 1) {
        if (cursor.place === "joined") this.#join(frame.room, cursor); // a hole: have all after our cursor replayed
        break;
      }
      cursor.seq = event.seq;
      this.#settleOwn(frame.room, event);
      events.push(event);
    }
    if (events.length) this.#emit("events", { room: frame.room, events });
  }

  /** @param {string} room @param {{detail: string, temporary: boolean, retry_after?: number}} frame */
  #joinRefused(room, frame) {
    const cursor = this.#cursors.get(room);
    if (cursor?.place !== "asked") return;
    if (!frame.temporary) {
      cursor.place = "denied";
      this.#emit("denied", { room, detail: sentence(frame.detail) });
      return this.#settle();
    }
    const connection = this.#connection.current;
    setTimeout(() => {
      if (connection !== this.#connection.current || cursor.place !== "asked") return;
      cursor.place = "out"; // whether the room is still among those to join is judged anew
      this.#settle();
    }, pause(frame, ++cursor.tries));
  }

  // --- the outbox -----------------------------------------------------------------------------------------------

  #drain() {
    if (this.state !== "online" || !this.user) return;
    for (const entry of this.outbox.next(this.user.id)) {
      if (this.#inFlight.has(entry.key) || !this.#cursors.has(entry.room)) continue;
      this.#inFlight.set(entry.key, Date.now());
      this.#connection.transmit({ type: "send", room: entry.room, key: entry.key, text: entry.text });
    }
  }

  #sendAgain() {
    this.#inFlight.clear();
    this.#drain();
  }

  /** @param {{key: string, room: string, seq: number, number: number}} frame */
  #acked(frame) {
    this.#inFlight.delete(frame.key);
    this.#refusals = 0;
    const entry = this.user && this.outbox.take(this.user.id, frame.key);
    if (this.user && entry) {
      const { text, at } = entry;
      const event = { type: "message", seq: frame.seq, number: frame.number, key: frame.key, id: "", text, at };
      this.#emit("stored", { room: frame.room, event: { ...event, sender: this.user.id, name: this.user.name } });
    }
    this.#drain();
  }

  /** An own message that is in the log needs no ack any more. @param {string} room @param {RoomEvent} event */
  #settleOwn(room, event) {
    if (!this.user || event.sender !== this.user.id || !this.outbox.take(this.user.id, event.key)) return;
    this.#inFlight.delete(event.key);
    this.#emit("outbox", { room });
    this.#drain();
  }

  /** @param {{frame?: string, key?: string, room?: string, code: string, detail: string, temporary: boolean, retry_after?: number}} error */
  #refused(error) {
    const { frame, key, room, code, retry_after: seconds = 1 } = error;
    if (key) this.#sendRefused(key, error);
    else if ((frame ?? "join") === "join" && room) this.#joinRefused(room, error);
    else if (code === "too_many") this.#emit("throttled", { room, seconds });
  }

  /** @param {string} key @param {{detail: string, temporary: boolean, retry_after?: number}} frame */
  #sendRefused(key, frame) {
    if (frame.temporary) {
      clearTimeout(this.#resend); // the entry stays marked as in flight, which holds its room back until then
      this.#resend = setTimeout(() => this.#sendAgain(), pause(frame, ++this.#refusals));
      return;
    }
    this.#inFlight.delete(key);
    const entry = this.user && this.outbox.mark(this.user.id, key, sentence(frame.detail));
    if (entry) this.#emit("outbox", { room: entry.room });
    this.#drain();
  }

  // --- plumbing -------------------------------------------------------------------------------------------------

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** How long to wait before the same frame is sent again, in ms. @param {{retry_after?: number}} refusal @param {number} tries */
function pause({ retry_after = 0 }, tries) {
  return Math.max(RETRY_AFTER_MS, retry_after * 1_000) + backoff(tries);
}
