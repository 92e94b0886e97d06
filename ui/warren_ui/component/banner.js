// @ts-check
/** What the page says of its connection: the dot in the corner always, the banner while something is wrong. */

import { el } from "./draw.js";

/** @typedef {import("./page.js").Parts} Parts */

const LABELS = { online: "Connected", connecting: "Connecting", reconnecting: "Reconnecting", refused: "Offline", stopped: "Offline" };
/** What is said of a connection that is not the best one. The second of them people may notice, so it is written out. */
const ROUTES = {
  sse: { label: "Connected", why: "This network blocks WebSockets. The chat goes on over an event stream." },
  polling: { label: "Connected over a slower route", why: "This network blocks live connections. Messages may take a moment longer." },
};
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

  /** @param {import("warren-client").Events["state"]} news @param {string} gateway */
  show({ state, code, transport }, gateway) {
    const before = this.status.dataset.state;
    const route = transport && transport !== "websocket" ? ROUTES[transport] : null;
    Object.assign(this.status.dataset, { state, gateway, transport: transport ?? "" });
    this.status.textContent = route?.label ?? LABELS[state];
    this.status.title = route?.why ?? "";
    if (state === before) return; // another transport took over, without an interruption
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
