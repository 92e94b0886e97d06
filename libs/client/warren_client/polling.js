// @ts-check
/** The last resort: one short request after another, one at a time. */

import { RequestError, ask } from "./http.js";
import { CHECK_MS, TOKEN_REFUSED, untilApart, verdictOf } from "./transport.js";
import { HttpSender } from "./httpsender.js";

/** @typedef {import("./transport.js").Start} Start */
/** @typedef {import("./transport.js").Receiver} Receiver */
/** @typedef {import("./transport.js").Join} Join */
/** @typedef {{since?: number, epoch?: string, presence?: string}} Cursor  `presence` is the server's own */
/**
 * @typedef {{head?: number, number?: number, read?: number, reset?: boolean, events?: object[], presence?: object,
 *   typing?: object[], partial?: object[], left?: object, error?: {temporary: boolean}}} News
 */
/** @typedef {{rooms: Record<string, News>, cursors: Record<string, Cursor>}} Answer */

/** How long the server may hold a poll, in seconds. */
const WAIT_S = 25;
/** How much longer than that an answer may take, in ms. */
const SLACK_MS = 10_000;
/** In a busy room a poll is answered at once: at most one in so many ms. */
const POLLS_APART_MS = 250;
/** What changes at about the same time is said with one poll. */
const POLL_SOON_MS = 50;
/** So often in a row a poll may be put off ("too many requests") before the connection counts as lost. */
const PUT_OFF_LIMIT = 3;

export class PollingTransport {
  /** @type {Map<string, Cursor>} */ #cursors = new Map();
  /** The rooms of which `joined` is still to be said. @type {Set<string>} */ #asked = new Set();
  /** The poll under way. @type {AbortController} */ #request = new AbortController();
  #life = new AbortController();
  #isOver = false;
  #isChecking = false;
  #isPolling = false;
  #putOff = 0;
  #token;
  #status;
  #polledAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #next;

  /** @param {Start} start @param {Receiver} receiver */
  constructor({ gateway, token, status }, receiver) {
    this.gateway = gateway;
    this.receiver = receiver;
    this.#token = token;
    this.#status = status();
    this.httpSender = new HttpSender(gateway, () => this.#token, (frame) => receiver.frame(frame), () => this.#end(TOKEN_REFUSED, 0));
    this.#introduce("welcome");
  }

  /** @param {any} frame */
  transmit(frame) {
    switch (frame.type) {
      case "join": return this.#join(frame);
      case "leave": return this.#leave(frame.room);
      case "status": return this.#become(frame.status);
      case "auth": return this.#renew(frame.token);
      case "send": return void this.httpSender.send(frame);
      case "typing": return void this.httpSender.typing(frame);
      default: // nothing else needs saying here
    }
  }

  check() {
    this.#isChecking = true;
    this.#pollSoon(0);
  }

  close() {
    this.#isOver = true;
    clearTimeout(this.#next);
    this.httpSender.close();
    this.#request.abort();
    this.#life.abort();
  }

  // --- what is to be asked --------------------------------------------------------------------------------------

  /** @param {Join} join */
  #join({ room, since, epoch }) {
    this.#cursors.set(room, { ...(since === undefined ? {} : { since, epoch }), presence: "" });
    this.#asked.add(room);
    this.#pollSoon();
  }

  /** @param {string} room */
  #leave(room) {
    this.#cursors.delete(room);
    this.#asked.delete(room);
    this.#pollSoon();
  }

  /** @param {string} status */
  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.#pollSoon();
  }

  /** @param {string} token */
  #renew(token) {
    this.#token = token;
    this.#introduce("renewed");
    this.#pollSoon();
  }

  // --- asking ---------------------------------------------------------------------------------------------------

  /** Ask who we are: what a poll does not say. @param {"welcome" | "renewed"} type */
  async #introduce(type) {
    try {
      const { id, name, limits, expires_in } = await ask(`${this.gateway}/v1/me`, this.#token, { signal: this.#life.signal });
      if (this.#isOver) return;
      this.receiver.frame({ type, user: { id, name }, limits, expires_in });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Poll, and give up the poll that waits: what it would have brought comes with the next. @param {number} [wait] in ms */
  #pollSoon(wait = POLL_SOON_MS) {
    if (this.#isOver) return;
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#poll(), Math.max(wait, untilApart(this.#polledAt, POLLS_APART_MS)));
  }

  async #poll() {
    const [before, request] = [this.#request, new AbortController()];
    this.#request = request;
    before.abort();
    if (this.#cursors.size === 0) return;
    const isUrgent = this.#isChecking || this.#asked.size > 0;
    const patience = this.#isChecking ? CHECK_MS : WAIT_S * 1_000 + SLACK_MS;
    const body = { cursors: Object.fromEntries(this.#cursors), wait: isUrgent ? 0 : WAIT_S, status: this.#status };
    this.#polledAt = Date.now();
    this.#isPolling = true;
    try {
      const answer = await ask(`${this.gateway}/v1/poll`, this.#token, { method: "POST", body, timeout: patience, signal: request.signal });
      if (request === this.#request && !this.#isOver) this.#answered(answer);
    } catch (error) {
      if (request === this.#request) this.#failed(error);
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    if (this.#isOver) return;
    const [code, afterMs] = verdictOf(/** @type {any} */ (error)); // what is no RequestError came of an answer that is no gateway's
    const isPutOff = error instanceof RequestError && error.status === 429;
    if (!isPutOff || !this.#isPolling || ++this.#putOff > PUT_OFF_LIMIT) return this.#end(code, afterMs);
    this.#isPolling = false;
    this.#pollSoon(afterMs);
  }

  /** @param {number} code @param {number} afterMs */
  #end(code, afterMs) {
    this.close();
    this.receiver.closed(code, afterMs);
  }

  // --- what was answered ----------------------------------------------------------------------------------------

  /** @param {Answer} answer */
  #answered({ rooms, cursors }) {
    [this.#isPolling, this.#isChecking, this.#putOff] = [false, false, 0];
    const [newsOf, next] = [new Map(Object.entries(rooms)), new Map(Object.entries(cursors))]; // every object has a `constructor`
    for (const [room, cursor] of [...this.#cursors]) {
      if (this.#cursors.get(room) === cursor) this.#take(room, newsOf.get(room) ?? {}, next.get(room)); // else asked anew just now
    }
    this.#pollSoon(0);
  }

  /** @param {string} room @param {News} news @param {Cursor | undefined} cursor */
  #take(room, { error, left, events, presence, typing = [], partial = [], ...place }, cursor) {
    const since = this.#cursors.get(room)?.since;
    const isAsked = this.#asked.delete(room);
    if (cursor && !error) this.#cursors.set(room, cursor);
    else this.#cursors.delete(room);
    if (error) return this.#say({ type: "error", frame: "join", room, ...error });
    if (cursor && (isAsked || place.reset)) this.#say({ type: "joined", room, head: since, reset: false, ...place, epoch: cursor.epoch });
    if (events) this.#say({ type: "events", room, events });
    if (presence) this.#say({ type: "presence", room, ...presence });
    for (const typist of typing) this.#say({ type: "typing", room, ...typist });
    for (const growing of partial) this.#say({ type: "partial", room, ...growing });
    if (left) this.#say({ type: "left", room, ...left });
  }

  /** @param {object} frame */
  #say(frame) {
    if (!this.#isOver) this.receiver.frame(frame);
  }
}
