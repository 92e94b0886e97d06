// @ts-check
/** The scrolling list of a conversation: draws what changed, and keeps the reader where they read. */

import { el, icon, place, rowNode, signature } from "./draw.js";

/** @typedef {import("./timeline.js").Row} Row */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./wording.js").Called} Called */

const NEAR_PX = 60;
const LOAD_OLDER_PX = 300;

export class Log {
  /** @type {Map<string, {node: HTMLElement, signature: string}>} */ #drawn = new Map();
  #room = "";
  #below = 0; // messages that came while the reader was further up
  /** Whether the list stays at its end: as long as the reader is there. */ stuck = true;
  #resize = new ResizeObserver(() => this.stuck && this.toBottom());

  /**
   * @param {import("./page.js").Parts} parts
   * @param {{older: () => void, seen: () => void}} owner `older`: more of the past is wanted; `seen`: the end is in sight
   */
  constructor({ log, pill }, { older, seen }) {
    this.log = log;
    this.pill = pill;
    this.older = older;
    this.seen = seen;
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#resize.observe(log);
  }

  stop() {
    this.#resize.disconnect();
  }

  /** From now on another room, or the same one from its end. */
  open() {
    this.stuck = true;
    this.#below = 0;
  }

  toBottom() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** The end of the list has been seen. */
  reached() {
    this.#below = 0;
  }

  /** So many messages were added at the end. @param {number} count */
  arrived(count) {
    if (!this.stuck) this.#below += count;
  }

  /** @param {Timeline | undefined} timeline @param {Row[]} rows @param {Called} called the room @param {Node} [aside] what to say when there is no room */
  draw(timeline, rows, called, aside) {
    if (this.#room !== (timeline?.room ?? "")) this.#clear();
    this.#room = timeline?.room ?? "";
    const anchor = this.stuck ? null : this.#anchor();
    const isFocused = this.#hasFocus;
    const changed = timeline ? this.#drawRows(timeline, rows, called) : false;
    this.#drawAside(timeline, aside);
    const anchored = anchor && this.#drawn.get(anchor.key)?.node;
    if (anchored) this.log.scrollTop += anchored.getBoundingClientRect().bottom - anchor.bottom;
    else if (changed && this.stuck) this.#toEnd(timeline);
    if (timeline?.more && this.log.scrollHeight <= this.log.clientHeight) this.older();
    this.#drawPill();
    if (isFocused && !this.#hasFocus) this.log.focus({ preventScroll: true }); // the button that was pressed is gone
  }

  get #hasFocus() {
    return this.log.contains(/** @type {ShadowRoot} */ (this.log.getRootNode()).activeElement);
  }

  #scrolled() {
    const { log } = this;
    this.stuck = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    if (this.stuck) this.seen();
    if (log.scrollTop < LOAD_OLDER_PX) this.older();
    this.#drawPill();
  }

  #clear() {
    this.#drawn.clear();
    this.log.replaceChildren();
  }

  /**
   * The first visible row, by key (its node may be drawn anew): what is added above must not move its lower edge. (The
   * upper one does move, when the row turns out to continue an older one and loses its author's name.)
   */
  #anchor() {
    const { top } = this.log.getBoundingClientRect();
    for (const [key, { node }] of this.#drawn) {
      const { bottom } = node.getBoundingClientRect(); // exact: offsetTop and offsetHeight round
      if (["message", "note"].includes(node.dataset.testid ?? "") && bottom > top) return { key, bottom };
    }
    return null;
  }

  /** Bring the list's children to what the rows say; nodes of unchanged rows stay. @param {Timeline} timeline @param {Row[]} rows @param {Called} called @returns {boolean} whether anything changed */
  #drawRows(timeline, rows, called) {
    const before = this.#drawn;
    this.#drawn = new Map();
    for (const row of rows) {
      const old = before.get(row.key);
      const now = signature(row, timeline, called);
      this.#drawn.set(row.key, old?.signature === now ? old : { node: rowNode(row, timeline, called), signature: now });
    }
    const kept = new Set([...this.#drawn.values()].map(({ node }) => node));
    place(this.log, kept);
    return before.size !== kept.size || [...before.values()].some(({ node }) => !kept.has(node));
  }

  /** What stands in the list when there is nothing to read. @param {Timeline | undefined} timeline @param {Node} [aside] */
  #drawAside(timeline, aside) {
    if (!timeline) return this.#drawAlone(aside ?? loading());
    if (timeline.history === "failed") {
      const again = el("button", { type: "button", class: "button", "data-act": "reload" }, "Try again");
      this.log.prepend(el("div", { class: "aside" }, el("p", {}, timeline.problem), again));
    } else if (timeline.history !== "loaded") {
      this.log.prepend(loading());
    }
  }

  /** What is said already stays, with the focus in it. @param {Node} node */
  #drawAlone(node) {
    if (!this.log.firstElementChild?.isEqualNode(node)) this.log.replaceChildren(node);
  }

  /** To the end, or to the first unread message if that is further up. @param {Timeline | undefined} timeline */
  #toEnd(timeline) {
    const { log } = this;
    const line = this.#drawn.get("new")?.node;
    const unseen = line && timeline && timeline.unread > 0 && line.offsetTop < log.scrollHeight - log.clientHeight;
    if (unseen) log.scrollTop = line.offsetTop - NEAR_PX;
    else this.toBottom();
    this.stuck = !unseen;
    this.seen();
  }

  #drawPill() {
    const { pill } = this;
    pill.hidden = this.stuck || !this.#room;
    const label = this.#below === 0 ? "Latest" : this.#below === 1 ? "1 new message" : `${this.#below} new messages`;
    if (pill.textContent !== label) pill.replaceChildren(icon("down"), label);
    pill.classList.toggle("fresh", this.#below > 0);
  }
}

function loading() {
  return el("div", { class: "aside loading", role: "img", "aria-label": "Loading" }, el("i"), el("i"), el("i"));
}
