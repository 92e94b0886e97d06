// @ts-check
/** Whether anybody is at this device: by what they touch, and by whether the page can be seen. */

const IDLE_MS = 5 * 60_000;
const HIDDEN_MS = 10_000;
/** Not `scroll`: a conversation also scrolls by itself, whenever a message comes. */
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "touchmove"];

export class Idle {
  /** @type {"online" | "away"} */ status = "online";
  #lastSign = Date.now();
  #pointer = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #sign = (/** @type {Event} */ event) => this.#heard(event);
  #seen = () => this.#watch();

  /** @param {(status: "online" | "away") => void} changed */
  constructor(changed) {
    this.changed = changed;
    for (const type of SIGNS) document.addEventListener(type, this.#sign, { capture: true, passive: true });
    document.addEventListener("visibilitychange", this.#seen);
    this.#watch();
  }

  stop() {
    clearTimeout(this.#timer);
    for (const type of SIGNS) document.removeEventListener(type, this.#sign, { capture: true });
    document.removeEventListener("visibilitychange", this.#seen);
  }

  /** The page was hidden or is seen again: either way somebody was there just now. */
  #watch() {
    this.#lastSign = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), this.#patience);
    if (!document.hidden) this.#become("online");
  }

  /** @param {Event} event */
  #heard(event) {
    if (event.type === "pointermove" && !this.#moved(/** @type {PointerEvent} */ (event))) return;
    if (this.status === "away") this.#watch();
    else this.#lastSign = Date.now(); // the timer looks at it when it is due: setting it anew at each move would be dear
  }

  /** Browsers also send it when the page moves under a pointer that rests. @param {PointerEvent} event */
  #moved({ screenX, screenY }) {
    const [before, now] = [this.#pointer, `${screenX} ${screenY}`];
    this.#pointer = now;
    return before !== now;
  }

  #look() {
    const left = this.#lastSign + this.#patience - Date.now();
    if (left > 0) this.#timer = setTimeout(() => this.#look(), left);
    else this.#become("away");
  }

  get #patience() {
    return document.hidden ? HIDDEN_MS : IDLE_MS;
  }

  /** @param {"online" | "away"} status */
  #become(status) {
    if (status === this.status) return;
    this.status = status;
    this.changed(status);
  }
}
