// @ts-check
/** What a client says over HTTP where nothing else goes up, and the answers as the WebSocket's frames. */

import { ask } from "./http.js";

/** @typedef {import("./http.js").RequestError} RequestError */

export class HttpSender {
  #abort = new AbortController();
  /** Is the server being told now that the person is typing? */ #isTyping = false;

  /** @param {string} gateway @param {() => string} token @param {(frame: any) => void} hear @param {() => void} expired the token was refused */
  constructor(gateway, token, hear, expired) {
    this.gateway = gateway;
    this.token = token;
    this.hear = hear;
    this.expired = expired;
  }

  close() {
    this.#abort.abort();
  }

  /** @param {{room: string, key: string, text: string, reply_to?: number}} frame */
  async send({ room, key, text, reply_to }) {
    const body = { text, ...(reply_to === undefined ? {} : { reply_to }) };
    const headers = { "Idempotency-Key": key };
    const answer = await this.#post("send", room, "messages", { body, headers }, key);
    if (answer) this.hear({ type: "ack", key, room, seq: answer.seq, number: answer.number });
  }

  /** One at a time, and none is kept: a browser has six connections to a host, and messages would wait behind them. @param {{room: string}} frame */
  async typing({ room }) {
    if (this.#isTyping) return;
    this.#isTyping = true;
    try {
      await this.#post("typing", room, "typing", {});
    } finally {
      this.#isTyping = false;
    }
  }

  /** @param {string} frame what the answer is about @param {string} room @param {string} what @param {import("./http.js").Request} request @param {string} [key] */
  async #post(frame, room, what, request, key) {
    const { signal } = this.#abort;
    try {
      const url = `${this.gateway}/v1/rooms/${encodeURIComponent(room)}/${what}`;
      const answer = await ask(url, this.token(), { method: "POST", signal, ...request });
      return signal.aborted ? undefined : answer;
    } catch (failure) {
      if (!signal.aborted) this.#failed(frame, room, key, /** @type {RequestError} */ (failure));
      return undefined;
    }
  }

  /** @param {string} frame @param {string} room @param {string | undefined} key @param {RequestError} failure */
  #failed(frame, room, key, { status, code, message, temporary, retryAfter }) {
    if (status === 401) return this.expired();
    this.hear({ type: "error", frame, room, key, code, detail: message, temporary, retry_after: retryAfter });
  }
}
