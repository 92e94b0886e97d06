// @ts-check
/** The second choice: a stream of server-sent events down, requests up. Another set of rooms is another stream. */

import { EventStreamParser } from "./eventstream.js";
import { frameIn } from "./frames.js";
import { ask, bearer, encoded, problemOf } from "./http.js";
import { BROKEN, CHECK_MS, MUTE, TOKEN_REFUSED, pulseOf, untilApart, verdictOf } from "./transport.js";
import { HttpSender } from "./httpsender.js";

/** @typedef {import("./transport.js").Start} Start */
/** @typedef {import("./transport.js").Receiver} Receiver */
/** @typedef {import("./transport.js").Join} Join */

/** What changes at about the same time is one new stream. */
const GATHER_MS = 50;
/** At most one new stream in so many ms. */
const APART_MS = 250;
/** Something to follow for who follows nothing: there is no stream of no room. */
const NOTHING = [/** @type {Join} */ ({ type: "join", room: "@me" })];

export class SseTransport {
  /** The stream that is open or being opened. @type {AbortController | null} */ #stream = null;
  /** What it was opened for. @type {Set<string>} */ #rooms = new Set();
  /** Those of which nothing was heard yet. @type {Set<string>} */ #unanswered = new Set();
  /** @type {import("./transport.js").Limits | null} */ #limits;
  #token;
  #status;
  #isWelcomed = false;
  /** How often the server gives signs of life, in ms. */ #pulse = pulseOf();
  #openedAt = 0;
  #lastHeard = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reopening;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #silence;

  /** @param {Start} start @param {Receiver} receiver */
  constructor(start, receiver) {
    this.start = start;
    this.receiver = receiver;
    this.#token = start.token;
    this.#status = start.status();
    this.#limits = start.limits();
    this.httpSender = new HttpSender(start.gateway, () => this.#token, (frame) => receiver.frame(frame), () => this.#end(TOKEN_REFUSED));
    this.#open();
  }

  /** @param {any} frame */
  transmit(frame) {
    switch (frame.type) {
      case "join": return this.#unanswered.has(frame.room) ? undefined : this.#openAnew();
      case "leave": return this.#openAnew();
      case "status": return this.#become(frame.status);
      case "auth": return this.#renew(frame.token);
      case "send": return void this.httpSender.send(frame);
      case "typing": return void this.httpSender.typing(frame);
      default: // nothing else needs saying here
    }
  }

  /** The server speaks every few seconds: who heard it just now has nothing to ask. */
  check() {
    if (Date.now() - this.#lastHeard > this.#pulse) this.#open(CHECK_MS);
  }

  close() {
    clearTimeout(this.#reopening);
    clearTimeout(this.#silence);
    this.httpSender.close();
    this.#stream?.abort();
    this.#stream = null;
  }

  // --- the stream -----------------------------------------------------------------------------------------------

  /** @param {string} status */
  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.#openAnew();
  }

  /** @param {string} token */
  #renew(token) {
    this.#token = token;
    this.#openAnew();
  }

  /** Open another stream, soon. */
  #openAnew() {
    if (this.#reopening !== undefined) return;
    this.#reopening = setTimeout(() => this.#open(CHECK_MS), Math.max(GATHER_MS, untilApart(this.#openedAt, APART_MS)));
  }

  /** @param {number} [patience] in ms until something has to come; the first time others watch */
  async #open(patience) {
    const stream = new AbortController();
    this.#stream?.abort();
    this.#stream = stream;
    clearTimeout(this.#reopening);
    this.#reopening = undefined;
    this.#openedAt = Date.now();
    if (patience) this.#expectWithin(patience);
    try {
      await this.#read(stream);
      if (stream === this.#stream) this.#end(BROKEN);
    } catch (error) {
      if (stream !== this.#stream) return;
      const [code, afterMs] = verdictOf(/** @type {any} */ (error));
      this.#end(code, afterMs);
    }
  }

  /** @param {AbortController} stream */
  async #read(stream) {
    const { gateway } = this.start;
    this.#limits ??= (await ask(`${gateway}/v1/me`, this.#token, { signal: stream.signal })).limits;
    if (stream !== this.#stream || !this.#limits) return;
    const joins = this.start.joins(this.#limits);
    this.#rooms = new Set(joins.map(({ room }) => room));
    this.#unanswered = new Set(this.#rooms);
    const body = encoded({ cursors: cursorsOf(joins.length ? joins : NOTHING), status: this.#status });
    const headers = { Accept: "text/event-stream", "Content-Type": "application/json", ...bearer(this.#token) };
    const response = await fetch(`${gateway}/v1/sse`, { method: "POST", body, headers, signal: stream.signal, cache: "no-store" });
    if (!response.ok) throw await problemOf(response);
    if (!response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) return; // another's page
    await this.#follow(response.body.getReader(), stream);
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {AbortController} stream */
  async #follow(reader, stream) {
    const parser = new EventStreamParser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || stream !== this.#stream) return;
      this.#lastHeard = Date.now();
      for (const { data } of parser.push(value)) {
        this.#hear(frameIn(data));
        if (stream !== this.#stream) return;
      }
      if (this.#isWelcomed) this.#expectWithin(2 * this.#pulse);
    }
  }

  /** @param {any} frame */
  #hear(frame) {
    if (!frame) return this.#end(BROKEN);
    if (frame.room && !this.#rooms.has(frame.room)) return;
    switch (frame.type) {
      case "welcome": return this.#welcomed(frame);
      case "bye": return this.#end(frame.code, frame.after_ms);
      case "joined": case "error": case "left": this.#unanswered.delete(frame.room);
    }
    this.receiver.frame(frame);
  }

  /** Those who listen were welcomed once; what is news of a later stream is how long its token holds. @param {any} frame */
  #welcomed(frame) {
    this.#pulse = pulseOf(frame.ping);
    this.#limits = frame.limits;
    const isFirst = !this.#isWelcomed;
    this.#isWelcomed = true;
    this.receiver.frame(isFirst ? frame : { type: "renewed", expires_in: frame.expires_in });
  }

  /** @param {number} ms */
  #expectWithin(ms) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#end(MUTE), ms);
  }

  /** @param {number} code @param {number} [afterMs] */
  #end(code, afterMs = 0) {
    this.close();
    this.receiver.closed(code, afterMs);
  }
}

/** The rooms, and where to go on in each. @param {Join[]} joins */
function cursorsOf(joins) {
  return Object.fromEntries(joins.map(({ room, since, epoch }) => [room, since === undefined ? {} : { since, epoch }]));
}
