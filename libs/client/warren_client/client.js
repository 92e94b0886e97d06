// @ts-check
/**
 * Warren's client in the browser: all rooms over one connection, exact resume, an outbox. It draws nothing.
 *
 * What it promises (invariants I1, I3 and I5 of the design): events of a room come once and in the order of their seq,
 * whatever happens to the connection and whichever transport carries it; what was sent is sent again, with the same key,
 * until it is acked or refused for good.
 */

import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { ask } from "./http.js";
import { Outbox, tabStorage } from "./outbox.js";
import { Sender } from "./sender.js";
import { Subscriptions } from "./subscriptions.js";
import { TokenSource } from "./token.js";
import { TOKEN_REFUSED } from "./transport.js";
import { watch } from "./watch.js";

export { backoff } from "./backoff.js";
export { RequestError } from "./http.js";
export { TOKEN_REFUSED } from "./transport.js";

/** @typedef {import("./api.js").Api} GatewayApi */
/** @typedef {import("./api.js").Entry} Entry */
/** @typedef {import("./api.js").Measure} Measure */
/** @typedef {import("./api.js").RoomInfo} RoomInfo */
/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./outbox.js").Outgoing} Outgoing */
/** @typedef {import("./outbox.js").Store} Store */
/** @typedef {import("./token.js").TokenFunction} TokenFunction */
/** @typedef {import("./transport.js").Kind} Transport */

/** @typedef {import("./events.js").Events} Events */
/** @typedef {import("./events.js").Person} Person */
/** @typedef {import("./events.js").Present} Present */
/** @typedef {import("./events.js").PresenceFrame} PresenceFrame */
/** @typedef {import("./events.js").RoomEvent} RoomEvent */
/**
 * `gateways`: base URLs; without them, where this file came from. `token`: one, or a function that fetches one, and is
 * asked again (`refresh`) when the last one expires or is refused. `user`: who that is, if it is known already.
 * `transports`: which to use, the best first.
 * @typedef {{gateways?: string[], token: string | TokenFunction, user?: Person | null, storage?: Store | null,
 *   transports?: Transport[]}} Options
 */

/** A new token is asked for so long before the present one expires, or at half its time if that is later. */
const RENEW_BEFORE_MS = 60_000;
/** A token that is about to expire is not renewed more often. */
const SOONEST_RENEWAL_MS = 1_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** @type {Transport[]} */
const ALL_TRANSPORTS = ["websocket", "sse", "polling"];

export class WarrenClient extends EventTarget {
  /** Who one is, once a gateway has said so. @type {Person | null} */ user;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #expiry;
  /** @type {"online" | "away"} */ #status = "online";
  /** @type {Record<string, number> & {rooms: number} | null} */ #limits = null;
  /** @type {TokenSource} */ #tokens;
  /** @type {Connection} */ #connection;
  /** @type {Subscriptions} */ #subscriptions;
  /** @type {Sender} */ #sender;

  /** @param {Options} options */
  constructor({ gateways = [besideThisFile()], token, user = null, storage = tabStorage(), transports = ALL_TRANSPORTS }) {
    super();
    if (gateways.length === 0 || transports.length === 0) throw new TypeError("at least one gateway and one transport are needed");
    this.user = user;
    this.outbox = new Outbox(storage);
    this.#tokens = new TokenSource(token, (renewed) => this.#connection.renew(renewed));
    this.#connection = new Connection(gateways.map(trimmed), transports, this.#tokens, {
      changed: (state, code) => this.#changed(state, code),
      frame: (frame) => this.#hear(frame),
      lost: () => this.#lost(),
      status: () => this.#status,
      limits: () => this.#limits,
      joins: ({ rooms }) => this.#subscriptions.joins(rooms),
    });
    const transmit = (/** @type {object} */ frame) => this.#connection.transmit(frame);
    const isOnline = () => this.state === "online";
    const emit = (/** @type {keyof Events} */ type, /** @type {object} */ detail) => this.#emit(type, detail);
    this.#sender = new Sender(this.outbox, { transmit, isOnline, emit, user: () => this.user });
    this.#subscriptions = new Subscriptions({ transmit, isOnline, emit, own: (room, event) => this.#sender.settle(room, event) });
    this.api = new Api({ gateway: () => this.gateway, tokens: this.#tokens, expired: () => this.#connection.refuse(TOKEN_REFUSED) });
  }

  /** Ask a gateway in guest mode for a token. @param {string} name @param {string} [gateway] its base URL @returns {Promise<{token: string, user: Person, expires_in: number}>} */
  static guest(name, gateway = besideThisFile()) {
    return ask(`${trimmed(gateway)}/v1/guest`, "", { method: "POST", body: { name } });
  }

  /** The base URL of the gateway in use. */
  get gateway() {
    return this.#connection.gateway;
  }

  get state() {
    return this.#connection.state;
  }

  /** What carries the connection; null while there is none. */
  get transport() {
    return this.#connection.kind;
  }

  /** Whether there are more rooms than one connection may join: the least important ones are not live. */
  get overflows() {
    return this.#subscriptions.overflows;
  }

  start() {
    this.#connection.start();
  }

  /** End the connection, and everything that goes on in the background. `start` begins anew. */
  stop() {
    clearTimeout(this.#expiry);
    this.#connection.stop();
  }

  /** Go on with a newer token of the same person, without a new connection. @param {string} token */
  renew(token) {
    this.#tokens.set(token);
  }

  /** Try again now: the person asked for it. */
  reconnect() {
    this.#connection.reconnect();
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** Follow exactly these rooms, the most important first: so many are joined as the server allows. @param {string[]} rooms */
  follow(rooms) {
    this.#subscriptions.follow(rooms);
  }

  /**
   * Follow this room too, connecting if need be, and call `show` with its newest messages (500 at most), oldest first,
   * whenever they are others. @param {string} room @param {(messages: RoomEvent[]) => void} show @returns {() => void} ends it
   */
  watch(room, show) {
    const end = watch(this, room, show);
    this.follow([...new Set([...this.#subscriptions.rooms, room])]);
    this.start();
    return () => {
      end();
      this.follow(this.#subscriptions.rooms.filter((one) => one !== room));
    };
  }

  /** Does the gateway send us the room's events now? @param {string} room */
  isJoined(room) {
    return this.#subscriptions.isJoined(room);
  }

  /** Join again, going on at our cursor: what does not last is told anew then. @param {string} room */
  rejoin(room) {
    this.#subscriptions.rejoin(room);
  }

  /** A page of history, newest last. @param {string} room @param {number} [before] a seq */
  async history(room, before) {
    const page = await this.api.history(room, before);
    page.messages.forEach((event) => this.#sender.settle(room, event));
    return page;
  }

  /** Say that the person is typing. @param {string} room */
  typing(room) {
    if (this.isJoined(room)) this.#connection.transmit({ type: "typing", room });
  }

  /** Say whether anybody is at this device. @param {"online" | "away"} status */
  report(status) {
    this.#status = status;
    this.#connection.transmit({ type: "status", status });
  }

  // --- messages -------------------------------------------------------------------------------------------------

  /**
   * Say something. It is in the outbox when this returns its key. Throws a RangeError if too much waits there.
   * @param {string} room @param {string} text @param {{replyTo?: number}} [about] the seq that it answers
   */
  send(room, text, { replyTo } = {}) {
    const key = this.outbox.add(this.user?.id ?? "", room, text, replyTo);
    this.#emit("outbox", { room });
    this.#sender.drain();
    return key;
  }

  /** Send a refused message again, with its key. @param {string} key */
  retry(key) {
    const entry = this.user && this.outbox.mark(this.user.id, key, null);
    if (entry) this.#emit("outbox", { room: entry.room });
    this.#sender.drain();
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

  // --- events ---------------------------------------------------------------------------------------------------

  /**
   * @template {keyof Events} Type
   * @overload
   * @param {Type} type
   * @param {(event: CustomEvent<Events[Type]>) => void} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @overload
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /** @param {string} type @param {any} listener @param {boolean | AddEventListenerOptions} [options] */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
  }

  /** @param {keyof Events} type @param {object} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // --- what the connection says ---------------------------------------------------------------------------------

  /** @param {State} state @param {number} code */
  #changed(state, code) {
    this.#emit("state", { state, code, transport: this.transport });
    if (this.#status !== "online") this.report(this.#status); // a connection begins as online
    this.#subscriptions.settle();
    this.#sender.drain();
  }

  #lost() {
    clearTimeout(this.#expiry);
    this.#sender.lost();
    this.#subscriptions.lost();
  }

  /** @param {any} frame */
  #hear(frame) {
    switch (frame.type) {
      case "welcome": return this.#welcomed(frame);
      case "renewed": return this.#renewed(frame);
      case "joined": return this.#subscriptions.joined(frame);
      case "left": return this.#subscriptions.left(frame);
      case "events": return this.#subscriptions.received(frame);
      case "ack": return this.#sender.acked(frame);
      case "error": return this.#refused(frame);
      case "presence": case "typing": case "partial": return this.isJoined(frame.room) ? this.#emit(frame.type, frame) : undefined;
      default: // pong, and whatever a newer gateway says
    }
  }

  /** @param {{user: Person, limits: Record<string, number> & {rooms: number}, expires_in?: number}} frame */
  #welcomed({ user, limits, expires_in }) {
    this.user = user;
    this.outbox.adopt(user.id);
    this.#limits = limits;
    this.#subscriptions.limit = limits.rooms;
    this.#expireIn(expires_in);
    this.#emit("welcome", { user, limits });
  }

  /** @param {{expires_in?: number}} frame */
  #renewed({ expires_in }) {
    this.#tokens.accepted();
    this.#expireIn(expires_in);
  }

  /** @param {{frame?: string, key?: string, room?: string, code: string, detail: string, temporary: boolean, retry_after?: number}} error */
  #refused(error) {
    const { frame = "join", key, room, code, retry_after: seconds = 1 } = error;
    if (key) this.#sender.refused(key, error);
    else if (frame === "join" && room) this.#subscriptions.refused(room, error);
    else if (code === "too_many") this.#emit("throttled", { room, seconds });
  }

  /** @param {number | null | undefined} seconds until the token expires */
  #expireIn(seconds) {
    clearTimeout(this.#expiry);
    if (seconds === undefined || seconds === null) return;
    const wait = Math.max(seconds * 1_000 - RENEW_BEFORE_MS, seconds * 500, SOONEST_RENEWAL_MS);
    if (wait < LONGEST_TIMER_MS) this.#expiry = setTimeout(() => this.#expiring(), wait);
  }

  /** A function brings a new token by itself; whoever gave us just one is told. If it can't just now, the end of the token asks again. */
  #expiring() {
    if (this.#tokens.canRefresh) this.#tokens.refresh().catch(() => {});
    else this.#emit("expiring", {});
  }
}

/** The gateway that served this file: what was served elsewhere has to name its gateways. */
function besideThisFile() {
  return new URL(".", import.meta.url).href;
}

/** @param {string} url */
function trimmed(url) {
  return url.replace(/\/+$/, "");
}
