// @ts-check
/** Where one writes: grows with the text, counts near the limit, keeps the draft of each room, says why one may not. */

import { isTouched } from "./page.js";
import { holdText } from "./wording.js";

const TEXT_LIMIT = 4_000;
const COUNT_FROM = 3_600;
/** Well within what a browser's timer can hold. */
const LONGEST_WAIT_MS = 24 * 3_600_000;

/** @typedef {import("./page.js").Parts} Parts */

export class Composer {
  #room = "";
  #ready = () => false;
  /** Why it could not be made possible to write. */ #problem = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #again;

  /**
   * @param {Parts} parts @param {import("./memory.js").Memory} memory
   * @param {{ready: () => boolean, send: (text: string) => void, typed: () => void}} owner
   *   `ready`: is it known who writes? `typed`: something was written that is not sent yet
   */
  constructor(parts, memory, { ready, send, typed }) {
    this.parts = parts;
    this.memory = memory;
    this.#ready = ready;
    this.send = send;
    parts.form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    parts.input.addEventListener("input", () => { this.refresh(); if (parts.input.value.trim()) typed(); });
    parts.input.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Write for this room, none if empty, from its draft on. @param {string} room */
  open(room) {
    [this.#room, this.#problem] = [room, ""];
    this.parts.input.value = room && this.memory.draft(room);
    this.refresh();
  }

  /** Say why nothing can be written in the room now, and look again when that is over. @param {import("./timeline.js").Timeline | undefined} timeline @param {string} reason of a mute */
  judge(timeline, reason) {
    clearTimeout(this.#again);
    const why = timeline ? holdText(timeline, timeline.muted?.reason || reason) : "";
    this.#hold(why && this.#problem ? `${why} ${this.#problem}` : why, Boolean(timeline?.isBlocked));
    const left = (timeline?.muted?.until ?? 0) - Date.now();
    if (left > 0) this.#again = setTimeout(() => this.judge(timeline, reason), Math.min(left, LONGEST_WAIT_MS));
  }

  /** What the person pressed could not be done; "" if it is tried anew. @param {string} sentence */
  complain(sentence) {
    this.#problem = sentence;
  }

  stop() {
    clearTimeout(this.#again);
  }

  /** @param {string} why nothing can be written; "" if it can. The draft stays. @param {boolean} isBlocked whether that can be lifted here */
  #hold(why, isBlocked) {
    const { form, hold, input, log, unblock } = this.parts;
    if (hold.textContent === why && input.disabled === Boolean(why)) return;
    const root = /** @type {ShadowRoot} */ (form.getRootNode());
    const isFocused = form.contains(root.activeElement);
    if (why && isFocused) log.focus(); // what is hidden can't keep the focus
    hold.textContent = why;
    unblock.hidden = !isBlocked;
    form.classList.toggle("held", Boolean(why));
    input.disabled = Boolean(why);
    if (!why && isFocused) input.focus(); // the button that was pressed is gone
    this.refresh();
  }

  /** Put the cursor in, unless that would bring up a keyboard on the screen. */
  focus() {
    if (matchMedia("(hover: hover)").matches) this.parts.input.focus();
  }

  /** The text has changed, or whether it may be sent. */
  refresh() {
    const { input, counter, send } = this.parts;
    if (this.#room) this.memory.keepDraft(this.#room, input.value);
    const length = [...contentOf(input.value)].length;
    counter.textContent = length > COUNT_FROM ? `${TEXT_LIMIT - length}` : "";
    counter.classList.toggle("over", length > TEXT_LIMIT);
    send.disabled = input.disabled || !this.#room || !this.#ready() || length === 0 || length > TEXT_LIMIT;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${input.scrollHeight}px`; // 0 while the composer is hidden
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (isTouched() && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const { input, send } = this.parts;
    if (send.disabled) return;
    this.send(contentOf(input.value)); // throws if too much waits to be sent: what was written stays, then
    input.value = "";
    this.refresh();
  }
}

/** What is sent of what was written: without empty lines around it. The indent of the first line belongs to it. @param {string} text */
function contentOf(text) {
  const written = text.trimEnd();
  const first = written.length - written.trimStart().length;
  return written.slice(written.lastIndexOf("\n", first - 1) + 1);
}
