// @ts-check
/** The first choice: one socket for everything. */

import { frameIn } from "./frames.js";
import { encoded } from "./http.js";
import { BROKEN, CHECK_MS, pulseOf } from "./transport.js";

/** @typedef {import("./transport.js").Start} Start */
/** @typedef {import("./transport.js").Receiver} Receiver */

const SUBPROTOCOL = "warren.v1";
const PONG_TIMEOUT_MS = 10_000;
/** How long after `bye` the server may take to close. */
const BYE_TIMEOUT_MS = 3_000;

export class WebSocketTransport {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {{code: number, after_ms: number} | null} */ #bye = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #pulse;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #doubt;
  /** When it ends, in ms of the clock. */ #doubtUntil = Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #farewell;

  /** @param {Start} start @param {Receiver} receiver */
  constructor({ gateway, token }, receiver) {
    this.receiver = receiver;
    try {
      this.#socket = this.#open(`${gateway.replace(/^http/, "ws")}/v1/ws`, token);
    } catch {
      this.#farewell = setTimeout(() => this.#end(BROKEN)); // a page that may not open any, as on https to a gateway without
    }
  }

  /** @param {object} frame */
  transmit(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encoded(frame));
  }

  /** A dead connection looks open for minutes. */
  check() {
    this.#beat(CHECK_MS);
  }

  /** The close handshake of a dead peer takes a minute: it is not waited for. */
  close() {
    clearInterval(this.#pulse);
    clearTimeout(this.#doubt);
    clearTimeout(this.#farewell);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {string} address @param {string} token */
  #open(address, token) {
    const socket = new WebSocket(address, SUBPROTOCOL);
    socket.onopen = () => this.transmit({ type: "hello", token });
    socket.onmessage = (message) => this.#hear(frameIn(message.data));
    socket.onclose = ({ code }) => this.#end(code);
    return socket;
  }

  /** @param {any} frame */
  #hear(frame) {
    clearTimeout(this.#doubt); // whatever it says, it lives
    this.#doubtUntil = Infinity;
    if (!frame) return this.#end(BROKEN);
    if (frame.type === "bye") return this.#dismissed(frame);
    if (frame.type === "welcome") this.#welcomed(frame);
    this.receiver.frame(frame);
  }

  /** @param {{ping?: number}} frame */
  #welcomed({ ping }) {
    clearInterval(this.#pulse);
    this.#pulse = setInterval(() => this.#beat(PONG_TIMEOUT_MS), pulseOf(ping));
  }

  /** The server will close with this verdict; if it does not, we do. @param {{code: number, after_ms: number}} bye */
  #dismissed(bye) {
    this.#bye = bye;
    clearTimeout(this.#farewell);
    this.#farewell = setTimeout(() => this.#end(bye.code), BYE_TIMEOUT_MS);
  }

  /** Ask for a sign of life. @param {number} patience in ms; who waits for less already does not wait longer */
  #beat(patience) {
    this.transmit({ type: "ping" });
    const until = Date.now() + patience;
    if (until >= this.#doubtUntil) return;
    this.#doubtUntil = until;
    clearTimeout(this.#doubt);
    this.#doubt = setTimeout(() => this.#end(BROKEN), patience);
  }

  /** @param {number} code */
  #end(code) {
    this.close();
    this.receiver.closed(code >= 4000 ? code : (this.#bye?.code ?? code), this.#bye?.after_ms ?? 0);
  }
}
