// @ts-check
/** A way to some gateway, by whatever transport works there: finding one, coming back, and changing to a better one. */

import { Attempt } from "./attempt.js";
import { backoff, jittered, reasonable } from "./backoff.js";
import { Fallback } from "./fallback.js";
import { MUTE, TOKEN_REFUSED } from "./transport.js";
import { Wakeups } from "./wakeups.js";

/** @typedef {import("./transport.js").Kind} Kind */
/** @typedef {"connecting" | "online" | "reconnecting" | "refused" | "stopped"} State */
/**
 * `changed`: the state or the transport is another; `frame` gets every frame of the transport in use, its `welcome`
 * first; `lost`: what was said and not answered may not have arrived.
 * @typedef {{changed: (state: State, code: number) => void, frame: (frame: any) => void, lost: () => void,
 *   status: () => string, limits: () => import("./transport.js").Limits | null,
 *   joins: (limits: import("./transport.js").Limits) => import("./transport.js").Join[]}} Owner
 */

/** How long a transport may take to say welcome, in ms: longer in each of the first rounds in which none did. */
const WELCOME_MS = 4_000;
const PATIENT_ROUNDS = 3;
/** Who was lost before that was never well. */
const STABLE_MS = 5_000;

export class Connection {
  /** @type {State} */ #state = "stopped";
  /** The transport that is in use, or being opened. @type {Attempt | null} */ #current = null;
  /** A better one, being tried beside it. @type {Attempt | null} */ #probe = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #probing;
  /** Stands for this try at opening something: what was started before it is void. */ #round = 0;
  #turn;
  #tries = 0;
  /** The server does not want us before, in ms of the clock. */ #notBefore = 0;
  #wasOnline = false;
  #wakeups = new Wakeups((reason) => this.#woke(reason));

  /** @param {string[]} gateways @param {Kind[]} kinds the best first @param {import("./token.js").TokenSource} tokens @param {Owner} owner */
  constructor(gateways, kinds, tokens, owner) {
    this.gateways = gateways;
    this.tokens = tokens;
    this.owner = owner;
    this.fallback = new Fallback(kinds);
    this.#turn = Math.floor(Math.random() * gateways.length); // spreads the clients over the replicas
  }

  /** The base URL of the gateway in use. */
  get gateway() {
    return this.gateways[this.#turn % this.gateways.length];
  }

  get state() {
    return this.#state;
  }

  /** The transport in use; null while there is none. */
  get kind() {
    return this.#state === "online" && this.#current ? this.#current.kind : null;
  }

  /** Stands for the transport in use: another value later means that another took its place. @returns {unknown} */
  get current() {
    return this.#current;
  }

  start() {
    if (this.#state !== "stopped") return;
    this.#wakeups.start();
    this.#connect();
  }

  stop() {
    this.#wakeups.stop();
    this.#letGo();
    this.#wasOnline = false;
    this.#become("stopped");
  }

  /** Try again now: the person asked for it. */
  reconnect() {
    if (this.#current || this.#state === "stopped") return;
    this.#tries = 0;
    this.#connect();
  }

  /** Go on with another token of the same person. @param {string} token */
  renew(token) {
    this.transmit({ type: "auth", token });
    if (this.#state === "refused") this.reconnect();
  }

  /** @param {object} frame */
  transmit(frame) {
    if (this.#state === "online") this.#current?.transport.transmit(frame);
  }

  /** The server does not take us, and says so by this code. @param {number} code */
  refuse(code) {
    if (this.#state === "stopped") return;
    this.#letGo();
    this.#become("refused", code);
  }

  // --- finding a transport --------------------------------------------------------------------------------------

  async #connect() {
    clearTimeout(this.#timer);
    this.#become(this.#wasOnline ? "reconnecting" : "connecting");
    const round = ++this.#round;
    const token = await this.tokens.get().catch(() => null);
    if (round !== this.#round) return;
    if (token === null) this.#later(0); // the page could not get one just now
    else if (token === "") this.refuse(TOKEN_REFUSED);
    else this.#current = this.#attempt(this.fallback.kind, token);
  }

  /** @param {Kind} kind @param {string} token */
  #attempt(kind, token) {
    const { status, limits, joins } = this.owner;
    const patience = WELCOME_MS * (1 + Math.min(this.#tries, PATIENT_ROUNDS));
    return new Attempt(kind, { gateway: this.gateway, token, status, limits, joins }, patience, {
      heard: (attempt, frame) => this.#heard(attempt, frame),
      ended: (attempt, code, afterMs) => this.#ended(attempt, code, afterMs),
    });
  }

  /** @param {Attempt} attempt @param {any} frame */
  #heard(attempt, frame) {
    if (frame.type === "welcome") return this.#welcomed(attempt, frame);
    if (attempt === this.#current) this.owner.frame(frame);
  }

  /** @param {Attempt} attempt @param {any} frame */
  #welcomed(attempt, frame) {
    const before = this.#current;
    this.#current = attempt;
    this.#probe = null;
    if (before && before !== attempt) before.close();
    this.tokens.accepted();
    this.fallback.worked(attempt.kind);
    this.#wasOnline = true;
    this.owner.lost();
    this.owner.frame(frame);
    this.#become("online");
    this.#probeLater(this.fallback.patience);
  }

  /** 4500-4999 is final, all else is worth another try. @param {Attempt} attempt @param {number} code @param {number} afterMs */
  #ended(attempt, code, afterMs) {
    if (attempt === this.#probe) return this.#probeFailed(attempt);
    this.#letGo();
    const { token, welcomedAt } = attempt;
    const isFresh = code === TOKEN_REFUSED && this.tokens.refused(token);
    if (code >= 4500 && code <= 4999 && !isFresh) this.#become("refused", code);
    else if (welcomedAt) this.#lost(attempt, code, afterMs);
    else if (isFresh) this.#connect();
    else this.#notBegun(code, afterMs);
  }

  /** @param {Attempt} attempt @param {number} code @param {number} afterMs */
  #lost({ welcomedAt }, code, afterMs) {
    const lasted = Date.now() - welcomedAt;
    if (lasted > STABLE_MS) this.#tries = 0;
    this.fallback.lost({ soon: code < 4000 && lasted <= STABLE_MS, mute: code === MUTE });
    this.#later(afterMs);
  }

  /** @param {number} code @param {number} afterMs */
  #notBegun(code, afterMs) {
    const wasAnswered = code >= 4000; // so the way is open: there is nothing to go around
    if (!wasAnswered && this.fallback.fell()) this.#connect();
    else this.#later(afterMs);
  }

  /** Try the next gateway, but not all clients at once. @param {number} afterMs not before */
  #later(afterMs) {
    this.#become(this.#wasOnline ? "reconnecting" : "connecting");
    const wait = reasonable(afterMs);
    this.#turn += 1;
    this.#notBefore = Date.now() + wait;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait + backoff(this.#tries));
    this.#tries += 1;
  }

  /** Let go of everything that is open. */
  #letGo() {
    this.#round += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#probing);
    const open = [this.#current, this.#probe];
    [this.#current, this.#probe] = [null, null];
    for (const attempt of open) attempt?.close();
    this.owner.lost();
  }

  // --- a better transport ---------------------------------------------------------------------------------------

  /** @param {number} ms */
  #probeLater(ms) {
    clearTimeout(this.#probing);
    if (this.fallback.better.length) this.#probing = setTimeout(() => this.#tryBetter(this.fallback.better[0]), jittered(ms));
  }

  /** @param {Kind} kind */
  async #tryBetter(kind) {
    const round = this.#round;
    const token = await this.tokens.get().catch(() => "");
    if (round !== this.#round || this.#probe) return;
    if (token) this.#probe = this.#attempt(kind, token);
    else this.#probeLater(this.fallback.patience);
  }

  /** @param {Attempt} attempt */
  #probeFailed({ kind }) {
    this.#probe = null;
    const next = this.fallback.failed(kind);
    if (next) this.#tryBetter(next);
    else this.#probeLater(this.fallback.patience);
  }

  // --- plumbing -------------------------------------------------------------------------------------------------

  /** Do not wait out a timer that was set before. @param {import("./wakeups.js").Reason} reason */
  #woke(reason) {
    if (this.#state === "refused") return;
    if (!this.#current) return Date.now() < this.#notBefore ? undefined : this.reconnect();
    if (this.#state !== "online") return;
    this.#current.transport.check();
    if (reason !== "online") return;
    this.fallback.forget();
    this.#probeLater(0);
  }

  /** @param {State} state @param {number} [code] */
  #become(state, code = 0) {
    if (state === this.#state && state !== "online") return;
    this.#state = state;
    this.owner.changed(state, code);
  }
}
