// @ts-check
/** When not to rely on timers that were set before: the network or the person came back, or the machine slept. */

/** @typedef {"online" | "visible" | "slept"} Reason */

const TICK_MS = 5_000;
/** A tick that is late by so much was held up by more than a busy page. */
const SLEPT_MS = 10_000;
/** Browsers let the timers of hidden pages run once a minute only. */
const SLEPT_HIDDEN_MS = 120_000;

export class Wakeups {
  /** @type {ReturnType<typeof setInterval> | undefined} */ #ticking;
  #ticked = 0;
  #online = () => this.woke("online");
  #seen = () => isHidden() || this.woke("visible");

  /** @param {(reason: Reason) => void} woke */
  constructor(woke) {
    this.woke = woke;
  }

  start() {
    this.stop();
    globalThis.addEventListener?.("online", this.#online);
    globalThis.document?.addEventListener("visibilitychange", this.#seen);
    this.#ticked = Date.now();
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
  }

  stop() {
    globalThis.removeEventListener?.("online", this.#online);
    globalThis.document?.removeEventListener("visibilitychange", this.#seen);
    clearInterval(this.#ticking);
  }

  #tick() {
    const late = Date.now() - this.#ticked - TICK_MS;
    this.#ticked = Date.now();
    if (late > (isHidden() ? SLEPT_HIDDEN_MS : SLEPT_MS)) this.woke("slept");
  }
}

function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
}
