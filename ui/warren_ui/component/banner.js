// @ts-check
/** What the page says of its connection: the dot in the corner always, the banner while something is wrong. */

import { el } from "./draw.js";

/** @typedef {import("./page.js").Parts} Parts */

const LABELS = { online: "Connected", connecting: "Connecting", reconnecting: "Reconnecting", refused: "Offline", stopped: "Offline" };
const VERDICTS = {
  4501: "The server did not understand this page. Reload it.",
  4505: "Too many messages at once, so the server ended the connection.",
};
const PATIENCE_MS = 1_000;
const GOOD_NEWS_MS = 2_500;

export class Banner {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {Parts} parts */
  constructor({ status, banner }) {
    this.status = status;
    this.banner = banner;
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** @param {import("./connection.js").State} state @param {number} code @param {string} gateway */
  show(state, code, gateway) {
    const before = this.status.dataset.state;
    this.status.dataset.state = state;
    this.status.dataset.gateway = gateway;
    this.status.textContent = LABELS[state];
    clearTimeout(this.#timer);
    if (state === "connecting") this.#later(PATIENCE_MS, "wait", "Connecting…");
    if (state === "reconnecting") this.#say("wait", "Reconnecting… What you write is kept and sent.");
    if (state === "online") this.#online(before);
    if (state === "refused") this.#turnedAway(code);
  }

  /** @param {string | undefined} before */
  #online(before) {
    if (before !== "reconnecting" && before !== "refused") return this.#say("", "");
    this.#say("good", "Back online");
    this.#later(GOOD_NEWS_MS, "", "");
  }

  /** @param {number} code */
  #turnedAway(code) {
    const sentence = /** @type {Record<number, string>} */ (VERDICTS)[code] ?? "The server ended the connection.";
    this.#say("bad", sentence, el("button", { type: "button", class: "link", "data-act": "reconnect" }, "Reconnect"));
  }

  /** @param {number} wait in ms @param {string} mood @param {string} text */
  #later(wait, mood, text) {
    this.#timer = setTimeout(() => this.#say(mood, text), wait);
  }

  /** @param {string} mood @param {string} text @param {...Node} more */
  #say(mood, text, ...more) {
    this.banner.dataset.state = mood;
    this.banner.replaceChildren(...(text ? [el("span", {}, text), ...more] : []));
  }
}
