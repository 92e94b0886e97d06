// @ts-check
/** One transport from its opening to its end: it has to be welcomed in time, and is not heard of again once it is over. */

import { isFrame } from "./frames.js";
import { PollingTransport } from "./polling.js";
import { SseTransport } from "./sse.js";
import { BROKEN } from "./transport.js";
import { WebSocketTransport } from "./websocket.js";

/** @typedef {import("./transport.js").Kind} Kind */
/**
 * `heard`: a frame came; `ended`: it is over, by no will of ours, with this code, and the server wants us back after so
 * many ms.
 * @typedef {{heard: (attempt: Attempt, frame: any) => void, ended: (attempt: Attempt, code: number, afterMs: number) => void}} Owner
 */

const TRANSPORTS = { websocket: WebSocketTransport, sse: SseTransport, polling: PollingTransport };

export class Attempt {
  /** When it was welcomed, 0 before. */ welcomedAt = 0;
  #isOver = false;
  /** @type {ReturnType<typeof setTimeout>} */ #timer;

  /** @param {Kind} kind @param {import("./transport.js").Start} start @param {number} patience in ms until the welcome @param {Owner} owner */
  constructor(kind, start, patience, owner) {
    this.kind = kind;
    this.token = start.token;
    this.owner = owner;
    this.#timer = setTimeout(() => this.#ended(BROKEN, 0), patience);
    /** @type {import("./transport.js").Transport} */
    this.transport = new TRANSPORTS[kind](start, {
      frame: (frame) => this.#heard(frame),
      closed: (code, afterMs) => this.#ended(code, afterMs),
    });
  }

  close() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.transport.close();
  }

  /** @param {any} frame */
  #heard(frame) {
    if (this.#isOver) return;
    if (!isFrame(frame)) return this.#ended(BROKEN, 0); // made of an answer that makes no sense
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.welcomedAt = Date.now();
    }
    this.owner.heard(this, frame);
  }

  /** @param {number} code @param {number} afterMs */
  #ended(code, afterMs) {
    if (this.#isOver) return;
    this.close();
    this.owner.ended(this, code, afterMs);
  }
}
