// @ts-check
/** Where one writes: grows with the text, counts near the limit, keeps the draft of each room. */

const TEXT_LIMIT = 4_000;
const COUNT_FROM = 3_600;

/** @typedef {import("./page.js").Parts} Parts */

export class Composer {
  #room = "";
  #ready = () => false;

  /**
   * @param {Parts} parts @param {import("./memory.js").Memory} memory
   * @param {{ready: () => boolean, send: (text: string) => void}} owner `ready`: is it known who writes?
   */
  constructor(parts, memory, { ready, send }) {
    this.parts = parts;
    this.memory = memory;
    this.#ready = ready;
    this.send = send;
    parts.form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    parts.input.addEventListener("input", () => this.refresh());
    parts.input.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Write for this room, none if empty, from its draft on. @param {string} room */
  open(room) {
    this.#room = room;
    this.parts.input.value = room && this.memory.draft(room);
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
    const length = [...input.value.trim()].length;
    counter.textContent = length > COUNT_FROM ? `${TEXT_LIMIT - length}` : "";
    counter.classList.toggle("over", length > TEXT_LIMIT);
    send.disabled = !this.#room || !this.#ready() || length === 0 || length > TEXT_LIMIT;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${input.scrollHeight}px`; // 0 while the composer is hidden
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const { input, send } = this.parts;
    if (send.disabled) return;
    const text = input.value.trim();
    input.value = "";
    this.refresh();
    this.send(text);
  }
}
