// @ts-check
/** Tells when another day begins: "Today" and "until 14:00" do not stay true. */

/** Timers may be early by a little. */
const AFTER_MIDNIGHT_MS = 1_000;

export class Midnight {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {() => void} passed */
  constructor(passed) {
    this.passed = passed;
    this.#wait();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #wait() {
    const next = new Date().setHours(24, 0, 0, 0);
    this.#timer = setTimeout(() => { this.passed(); this.#wait(); }, next - Date.now() + AFTER_MIDNIGHT_MS);
  }
}
