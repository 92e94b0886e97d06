// @ts-check
/** Which transport to try next: down at once when one fails, and now and then up again. No I/O. */

/** @typedef {import("./transport.js").Kind} Kind */

/** How long to be content with a transport that is not the best before a better one is tried again, in ms; it doubles. */
const CONTENT_MS = 30_000;
const CONTENT_LIMIT_MS = 5 * 60_000;
/** The same where the better one has worked before: it probably failed because the gateway was just starting. */
const SOON_MS = 2_000;
/** So many losses soon after a welcome, in a row, are taken for a way that does not carry this transport. */
const STRIKES = 3;

export class Fallback {
  /** All of them, the one to begin with first. @type {Kind[]} */ #order;
  #at = 0;
  #content = CONTENT_MS;
  /** What has worked, and is trusted. @type {Set<Kind>} */ #proven = new Set();
  #strikes = 0;

  /** @param {Kind[]} kinds the best first */
  constructor(kinds) {
    this.kinds = kinds;
    this.#order = [...kinds];
  }

  /** The one to try, or in use. */
  get kind() {
    return this.#order[this.#at];
  }

  /** Those that are better than the one in use, the best first. */
  get better() {
    return this.kinds.slice(0, this.kinds.indexOf(this.kind));
  }

  /** How long to wait before a better one is tried, in ms. */
  get patience() {
    return this.better.some((kind) => this.#proven.has(kind)) ? SOON_MS : this.#content;
  }

  /** This one did not begin. Is there another to try at the same gateway? If not, it is the first one's turn again. */
  fell() {
    this.#at = (this.#at + 1) % this.#order.length;
    return this.#at > 0;
  }

  /** This one said welcome: begin with it from now on. @param {Kind} kind */
  worked(kind) {
    if (kind !== this.kind) this.#strikes = 0;
    this.#proven.add(kind);
    this.#startWith(kind);
  }

  /** A better one was tried meanwhile, in vain: which is to be tried next, if any? @param {Kind} kind @returns {Kind | undefined} */
  failed(kind) {
    this.#proven.delete(kind);
    const next = this.better[this.better.indexOf(kind) + 1];
    if (!next) this.#beContent();
    return next;
  }

  /** The one in use was lost. @param {{soon: boolean, mute: boolean}} how `soon` after its welcome; `mute`: it was open and carried nothing */
  lost({ soon, mute }) {
    this.#strikes = soon ? this.#strikes + 1 : 0;
    if (!mute && this.#strikes < STRIKES) return;
    const next = (this.kinds.indexOf(this.kind) + 1) % this.kinds.length;
    this.#proven.delete(this.kind);
    this.#strikes = 0;
    this.#beContent();
    this.#startWith(this.kinds[next]);
  }

  /** The network is another one, so what was learned of the last one does not count. */
  forget() {
    this.#content = CONTENT_MS;
    this.#strikes = 0;
  }

  #beContent() {
    this.#content = Math.min(CONTENT_LIMIT_MS, this.#content * 2);
  }

  /** @param {Kind} kind */
  #startWith(kind) {
    this.#order = [kind, ...this.kinds.filter((one) => one !== kind)];
    this.#at = 0;
  }
}
