// @ts-check
/**
 * Warren's client in the browser: one WebSocket, all rooms, exact resume, an outbox. It draws nothing.
 *
 * What it promises (invariants I1, I3 and I5 of the design): events of a room come once and in the order of their seq,
 * whatever happens to the connection; what was sent is sent again, with the same key, until it is acked or refused for good.
 *
 * The seam: a client served by the gateway (`/client.js`) may take the place of this file, if it emits the same events.
 */

/** @typedef {{id: string, name: string}} Person */
/**
 * @typedef {{seq: number, type: string, number?: number, id: string, sender: string, name: string, key: string,
 *   at: string, text?: string, title?: string, kind?: string, user?: string}} RoomEvent
 */
/** @typedef {{room: string, kind: string, title: string, number?: number, read?: number}} RoomInfo */
/**
 * @typedef {{key: string, room: string, user: string, text: string, at: string, failed: string | null}} Outgoing
 *   `failed` is the reason of a definite refusal, else null.
 */
/** @typedef {"connecting" | "online" | "reconnecting" | "refused" | "stopped"} State */
/** Where we stand in a room: `epoch` is null until the first `joined`. */
/** @typedef {{seq: number, epoch: string | null, joined: boolean, tries: number}} Cursor */

const SUBPROTOCOL = "warren.v1";
const WELCOME_TIMEOUT_MS = 8_000;
const ANSWER_TIMEOUT_MS = 15_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 15_000;
const PONG_TIMEOUT_MS = 10_000;
const WAKE_TIMEOUT_MS = 4_000;
const STABLE_MS = 5_000;
const TOKEN_REFUSED = 4503;

/** Full jitter: any delay up to the ceiling, so that a thousand clients do not come back at once. @param {number} attempt */
function backoff(attempt) {
  return Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

/** 128 random bits in hex. (crypto.randomUUID exists on https and localhost alone.) */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A failed HTTP request, with a sentence for the person. */
export class RequestError extends Error {
  /** @param {string} detail @param {number} status 0 if there was no answer */
  constructor(detail, status) {
    super(detail);
    this.status = status;
  }
}

/** What was sent and is not stored yet. It lives in sessionStorage, so that a reload loses nothing and keeps the keys. */
export class Outbox {
  static #SLOT = "warren:outbox";
  /** @type {Outgoing[]} */
  #entries = [];

  /** @param {Storage} storage */
  constructor(storage) {
    this.storage = storage;
    try {
      this.#entries = JSON.parse(storage.getItem(Outbox.#SLOT) ?? "[]");
    } catch {
      this.#entries = []; // written by another version: nothing that could be sent
    }
  }

  /** @param {string} user @param {string} room */
  of(user, room) {
    return this.#entries.filter((entry) => entry.user === user && entry.room === room);
  }

  /** The first message of each room that waits: a room's messages go out one at a time, which keeps their order. @param {string} user */
  next(user) {
    const first = new Map();
    for (const entry of this.#entries) {
      if (entry.user === user && entry.failed === null && !first.has(entry.room)) first.set(entry.room, entry);
    }
    return [...first.values()];
  }

  /** @param {Outgoing} entry */
  add(entry) {
    this.#entries.push(entry);
    this.#save();
  }

  /** Take the message out and return it, if it is here. @param {string} user @param {string} key @returns {Outgoing | undefined} */
  take(user, key) {
    const index = this.#entries.findIndex((entry) => entry.user === user && entry.key === key);
    if (index < 0) return undefined;
    const [entry] = this.#entries.splice(index, 1);
    this.#save();
    return entry;
  }

  /** @param {string} user @param {string} key @param {string | null} reason @returns {Outgoing | undefined} */
  mark(user, key, reason) {
    const entry = this.#entries.find((one) => one.user === user && one.key === key);
    if (entry) entry.failed = reason;
    this.#save();
    return entry;
  }

  #save() {
    try {
      this.storage.setItem(Outbox.#SLOT, JSON.stringify(this.#entries));
    } catch {
      // storage full or forbidden: the messages still go out, only a reload would lose them
    }
  }
}

/**
 * Emits CustomEvents: `state` {state, code}, `welcome` {user, limits}, `joined` {room, number, read, fresh},
 * `events` {room, events}, `stored` {room, event}, `outbox` {room}, `denied` {room, detail}.
 * `fresh` joins start at the room's head: whoever shows history loads it (again) then.
 */
export class WarrenClient extends EventTarget {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, Cursor>} */ #cursors = new Map();
  /** When each unanswered message was sent. @type {Map<string, number>} */ #inFlight = new Map();
  /** @type {State} */ #state = "stopped";
  /** @type {string[]} */ #gateways;
  /** @type {{code: number, after_ms: number} | null} */ #bye = null;
  #token;
  #turn = 0;
  #attempt = 0;
  #refusals = 0;
  #onlineSince = 0;
  #lastHeard = 0;
  #seenOnline = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #resend;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #pulse;
  #wake = () => this.#wakeUp();

  /** @param {{gateways: string[], token: string, user: Person | null, storage: Storage}} options */
  constructor({ gateways, token, user, storage }) {
    super();
    this.#gateways = gateways;
    this.#turn = Math.floor(Math.random() * gateways.length); // spreads the clients over the replicas
    this.#token = token;
    this.user = user;
    this.outbox = new Outbox(storage);
  }

  /** The base URL of the gateway in use. */
  get gateway() {
    return this.#gateways[this.#turn % this.#gateways.length].replace(/\/+$/, "");
  }

  get state() {
    return this.#state;
  }

  start() {
    window.addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#connect();
  }

  stop() {
    window.removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#abandon();
    clearTimeout(this.#timer);
    this.#state = "stopped";
  }

  /** Try again now: the person asked for it. */
  reconnect() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#connect();
  }

  /** Follow exactly these rooms. @param {string[]} rooms */
  follow(rooms) {
    for (const room of this.#cursors.keys()) {
      if (!rooms.includes(room)) this.#unfollow(room);
    }
    for (const room of rooms) {
      if (this.#cursors.has(room)) continue;
      this.#cursors.set(room, { seq: 0, epoch: null, joined: false, tries: 0 });
      if (this.#state === "online") this.#join(room);
    }
    this.#drain();
  }

  /** Does the gateway send us the room's events now? @param {string} room */
  isJoined(room) {
    return this.#cursors.get(room)?.joined ?? false;
  }

  /** Say something. It is in the outbox when this returns. @param {string} room @param {string} text */
  send(room, text) {
    if (!this.user) return;
    const sound = text.toWellFormed?.() ?? text; // half a surrogate pair is no JSON to the gateway
    this.outbox.add({ key: newKey(), room, user: this.user.id, text: sound, at: new Date().toISOString(), failed: null });
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

  /** A page of history, newest last. @param {string} room @param {number} [before] @returns {Promise<{messages: RoomEvent[], more: boolean}>} */
  async history(room, before) {
    const query = new URLSearchParams({ limit: "50" });
    if (before !== undefined) query.set("before", String(before));
    const page = await this.#get(`/v1/rooms/${encodeURIComponent(room)}/messages?${query}`);
    page.messages.forEach((/** @type {RoomEvent} */ event) => this.#settleOwn(room, event));
    return page;
  }

  /** The rooms that one is a member of. @returns {Promise<RoomInfo[]>} */
  async rooms() {
    return (await this.#get("/v1/rooms")).rooms;
  }

  // --- the connection -------------------------------------------------------------------------------------------

  #connect() {
    this.#setState(this.#seenOnline ? "reconnecting" : "connecting");
    this.#bye = null;
    const socket = new WebSocket(`${this.gateway.replace(/^http/, "ws")}/v1/ws`, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.#transmit({ type: "hello", token: this.#token });
    socket.onmessage = (message) => this.#hear(message.data);
    socket.onclose = (close) => this.#ended(close.code);
    this.#timer = setTimeout(() => this.#giveUp(), WELCOME_TIMEOUT_MS);
  }

  /** Let go of the socket without hearing from it again: the close handshake of a dead peer takes a minute. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#pulse);
    clearTimeout(this.#resend);
    this.#inFlight.clear();
    for (const cursor of this.#cursors.values()) cursor.joined = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #giveUp() {
    if (this.#socket) this.#ended(1006);
  }

  /** The verdict is in the code: 4500-4999 is final, all else is worth another try. @param {number} code */
  #ended(code) {
    clearTimeout(this.#timer);
    this.#abandon();
    const bye = this.#bye;
    const verdict = code >= 4000 ? code : (bye?.code ?? code);
    if (verdict >= 4500 && verdict <= 4999) {
      this.#setState("refused", verdict);
      return;
    }
    if (this.#onlineSince && Date.now() - this.#onlineSince > STABLE_MS) this.#attempt = 0;
    this.#onlineSince = 0;
    this.#setState(this.#seenOnline ? "reconnecting" : "connecting");
    this.#turn = (this.#turn + 1) % this.#gateways.length;
    this.#timer = setTimeout(() => this.#connect(), (bye?.after_ms ?? 0) + backoff(this.#attempt));
    this.#attempt += 1;
  }

  /** The machine woke up, the network or the person came back: do not wait out a timer that was set before. */
  #wakeUp() {
    if (document.visibilityState === "hidden" || this.#state === "refused" || this.#state === "stopped") return;
    if (!this.#socket) this.reconnect();
    else if (this.#state === "online") this.#beat(WAKE_TIMEOUT_MS);
  }

  /** Ask for a sign of life: a dead connection looks open for minutes. @param {number} patience in ms */
  #beat(patience) {
    const [socket, asked] = [this.#socket, Date.now()];
    this.#transmit({ type: "ping" });
    setTimeout(() => socket === this.#socket && this.#lastHeard < asked && this.#giveUp(), patience);
    const oldest = Math.min(...this.#inFlight.values());
    if (Date.now() - oldest > ANSWER_TIMEOUT_MS) this.#sendAgain();
  }

  /** @param {object} frame */
  #transmit(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** @param {string} data */
  #hear(data) {
    this.#lastHeard = Date.now();
    const frame = JSON.parse(data);
    switch (frame.type) {
      case "welcome": return this.#welcomed(frame);
      case "joined": return this.#joined(frame);
      case "events": return this.#received(frame);
      case "ack": return this.#acked(frame);
      case "error": return this.#refused(frame);
      case "bye": return this.#dismissed(frame);
      default: // pong, and whatever a newer gateway says
    }
  }

  /** @param {{user: Person, ping: number, limits: object}} frame */
  #welcomed(frame) {
    clearTimeout(this.#timer);
    this.user = frame.user;
    this.#onlineSince = Date.now();
    this.#seenOnline = true;
    this.#pulse = setInterval(() => this.#beat(PONG_TIMEOUT_MS), frame.ping * 1000);
    this.#emit("welcome", { user: frame.user, limits: frame.limits });
    for (const room of this.#cursors.keys()) this.#join(room);
    this.#setState("online");
    this.#drain();
  }

  /** The server will close with this verdict; if it does not, we do. @param {{code: number, after_ms: number}} frame */
  #dismissed(frame) {
    this.#bye = frame;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ended(frame.code), 3_000);
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** @param {string} room */
  #join(room) {
    const cursor = this.#cursors.get(room);
    if (!cursor) return;
    cursor.joined = false;
    const resume = cursor.epoch === null ? {} : { since: cursor.seq, epoch: cursor.epoch };
    this.#transmit({ type: "join", room, ...resume });
  }

  /** @param {string} room */
  #unfollow(room) {
    this.#cursors.delete(room);
    this.#transmit({ type: "leave", room });
  }

  /** @param {{room: string, epoch: string, head: number, number: number, read: number, reset: boolean}} frame */
  #joined(frame) {
    const cursor = this.#cursors.get(frame.room);
    if (!cursor) return;
    const fresh = cursor.epoch === null || frame.reset;
    if (fresh) cursor.seq = frame.head; // nothing is replayed: the live events begin after the head
    cursor.epoch = frame.epoch;
    cursor.joined = true;
    cursor.tries = 0;
    this.#emit("joined", { room: frame.room, number: frame.number, read: frame.read, fresh });
  }

  /** @param {{room: string, events: RoomEvent[]}} frame */
  #received(frame) {
    const cursor = this.#cursors.get(frame.room);
    if (!cursor || cursor.epoch === null) return;
    const events = [];
    for (const event of frame.events) {
      if (event.seq <= cursor.seq) continue; // seen: a replay may overlap the live events
      if (event.seq > cursor.seq + 1) {
        if (cursor.joined) this.#join(frame.room); // a hole: have everything after our cursor replayed
        break;
      }
      cursor.seq = event.seq;
      this.#settleOwn(frame.room, event);
      events.push(event);
    }
    if (events.length) this.#emit("events", { room: frame.room, events });
  }

  // --- the outbox -----------------------------------------------------------------------------------------------

  #drain() {
    if (this.#state !== "online" || !this.user) return;
    for (const entry of this.outbox.next(this.user.id)) {
      if (this.#inFlight.has(entry.key) || !this.#cursors.has(entry.room)) continue;
      this.#inFlight.set(entry.key, Date.now());
      this.#transmit({ type: "send", room: entry.room, key: entry.key, text: entry.text });
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

  /** @param {{key?: string, room?: string, code: string, detail: string, temporary: boolean}} frame */
  #refused(frame) {
    if (frame.key) this.#sendRefused(frame.key, frame);
    else if (frame.room) this.#joinRefused(frame.room, frame);
  }

  /** @param {string} key @param {{detail: string, temporary: boolean}} frame */
  #sendRefused(key, frame) {
    if (frame.temporary) {
      clearTimeout(this.#resend); // the entry stays marked as in flight, which holds its room back until then
      this.#resend = setTimeout(() => this.#sendAgain(), 200 + backoff(++this.#refusals));
      return;
    }
    this.#inFlight.delete(key);
    const entry = this.user && this.outbox.mark(this.user.id, key, frame.detail);
    if (entry) this.#emit("outbox", { room: entry.room });
    this.#drain();
  }

  /** @param {string} room @param {{detail: string, temporary: boolean}} frame */
  #joinRefused(room, frame) {
    const cursor = this.#cursors.get(room);
    if (!cursor) return;
    if (!frame.temporary) return this.#emit("denied", { room, detail: frame.detail });
    const socket = this.#socket;
    setTimeout(() => socket === this.#socket && !cursor.joined && this.#join(room), 200 + backoff(++cursor.tries));
  }

  // --- plumbing -------------------------------------------------------------------------------------------------

  /** @param {string} path @returns {Promise<any>} */
  async #get(path) {
    let response;
    try {
      response = await fetch(this.gateway + path, {
        headers: { Authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
    } catch {
      throw new RequestError("The server can't be reached just now.", 0);
    }
    const body = await response.json().catch(() => ({}));
    if (response.status === 401) this.#ended(TOKEN_REFUSED);
    if (!response.ok) throw new RequestError(body.detail ?? `The server answered ${response.status}.`, response.status);
    return body;
  }

  /** @param {State} state @param {number} [code] */
  #setState(state, code = 0) {
    if (state === this.#state) return;
    this.#state = state;
    this.#emit("state", { state, code });
  }

  /** @param {string} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
