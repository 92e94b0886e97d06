// @ts-check
/** The dialog in which one finds something while one types, and takes it with one press. */

import { el, icon, searchField } from "./draw.js";
import { drawRows } from "./panelrows.js";

/** @typedef {{id: string, name: string, about: string, face: Node, label: string, isNew: boolean}} Found  `label` of the button; `isNew`: it changes something */
/**
 * @typedef {{title: string, placeholder: string, find: (wanted: string) => Promise<{found: Found[], said: string}>,
 *   take: (id: string) => Promise<unknown>, stays?: boolean, more?: {label: string, open: () => void}}} Lookup
 *   `said` of what was found; `stays`: one may take another after it; `more`: where else one may want to go
 */

const FINDER_PAUSE_MS = 150;
/** Between a press and its click the list stays; on touch screens the pointer has left it by then. */
const AIM_HOLDS_MS = 350;
const LONGEST_NAME = 128;

export class Finder {
  /** @type {Lookup | null} */ #lookup = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #typing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #leaving;
  /** Counts what was looked for: an older answer is void. */ #turn = 0;
  /** The pointer has come to the list since the last letter: nothing may change under it. */ #isAimed = false;
  /** What was found meanwhile. @type {(() => void) | null} */ #held = null;
  #isTaking = false;

  /** @param {HTMLElement} root where it is put */
  constructor(root) {
    this.heading = el("h2", { id: "finder-title" });
    this.input = searchField({ autocomplete: "off", maxlength: LONGEST_NAME, "data-testid": "find" });
    this.said = el("p", { class: "hint", role: "status", "data-testid": "find-said" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.list = el("ul", { "data-testid": "finds" });
    this.more = el("button", { type: "button", class: "link", "data-testid": "find-more" });
    const close = el("button", { type: "button", class: "round", "aria-label": "Close", title: "Close", "data-testid": "find-close" }, icon("close"));
    const body = el("div", { class: "sheet" }, el("header", {}, this.heading, close), this.input, this.said, this.problem, this.list, this.more);
    this.dialog = el("dialog", { class: "finder", "aria-labelledby": "finder-title", "data-testid": "finder" }, body);
    root.append(this.dialog);
    this.more.addEventListener("click", () => this.#lookup?.more?.open());
    close.addEventListener("click", () => this.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close()); // beside the sheet
    this.dialog.addEventListener("close", () => this.#reset());
    this.dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.input.addEventListener("input", () => this.#typed());
    this.list.addEventListener("click", (event) => this.#clicked(event));
    for (const type of ["pointermove", "pointerdown"]) this.list.addEventListener(type, () => this.#aim());
    this.list.addEventListener("pointerleave", () => this.#aimLater());
  }

  /** @param {Lookup} lookup */
  open(lookup) {
    this.#reset();
    this.#lookup = lookup;
    this.heading.textContent = lookup.title;
    this.input.placeholder = lookup.placeholder;
    this.input.setAttribute("aria-label", lookup.placeholder);
    this.input.value = "";
    this.more.hidden = !lookup.more;
    this.more.textContent = lookup.more?.label ?? "";
    if (!this.dialog.open) this.dialog.showModal();
    this.input.focus();
    this.#look();
  }

  close() {
    this.dialog.close();
  }

  #reset() {
    clearTimeout(this.#typing);
    clearTimeout(this.#leaving);
    this.#turn += 1;
    [this.#lookup, this.#held, this.#isAimed] = [null, null, false];
    this.#show([], "");
    this.problem.textContent = "";
  }

  // --- looking ------------------------------------------------------------------------------------------------------

  #typed() {
    clearTimeout(this.#typing);
    clearTimeout(this.#leaving);
    this.#isAimed = false;
    this.#turn += 1;
    this.#typing = setTimeout(() => this.#look(), FINDER_PAUSE_MS);
  }

  /** Look for what the field says. */
  async #look() {
    clearTimeout(this.#typing);
    const turn = ++this.#turn;
    this.list.setAttribute("aria-busy", "true");
    try {
      const { found, said } = (await this.#lookup?.find(this.input.value.trim())) ?? { found: [], said: "" };
      if (turn === this.#turn) this.#offer(found, said);
    } catch (error) {
      if (turn === this.#turn) this.#offer([], /** @type {Error} */ (error).message);
    }
  }

  /** @param {Found[]} found @param {string} said */
  #offer(found, said) {
    if (this.#isAimed) this.#held = () => this.#show(found, said);
    else this.#show(found, said);
  }

  /** @param {Found[]} found @param {string} said */
  #show(found, said) {
    this.#held = null;
    this.list.removeAttribute("aria-busy");
    this.list.scrollTop = 0;
    if (this.said.textContent !== said) this.said.textContent = said;
    drawRows(this.list, found, ({ id }) => id, ({ name, about, label }) => JSON.stringify([name, about, label]), foundRow);
  }

  #aim() {
    clearTimeout(this.#leaving);
    this.#isAimed = true;
  }

  #aimLater() {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => { this.#isAimed = false; this.#held?.(); }, AIM_HOLDS_MS);
  }

  // --- taking -------------------------------------------------------------------------------------------------------

  /** @param {MouseEvent} event */
  #clicked(event) {
    const button = /** @type {Element} */ (event.target).closest("button[data-id]");
    if (button instanceof HTMLElement) this.#take(button.dataset.id ?? "");
  }

  /** @param {string} id */
  async #take(id) {
    const lookup = this.#lookup;
    if (!lookup || this.#isTaking) return;
    this.#isTaking = true;
    this.problem.textContent = "";
    try {
      await lookup.take(id);
      if (lookup === this.#lookup) await this.#taken(lookup);
    } catch (error) {
      if (lookup === this.#lookup) this.problem.textContent = /** @type {Error} */ (error).message;
    }
    this.#isTaking = false;
  }

  /** @param {Lookup} lookup */
  async #taken({ stays }) {
    if (!stays) return this.close();
    this.#isAimed = false;
    await this.#look();
    this.input.focus(); // the button that was pressed is gone
  }

  /** Enter and the arrows lead from the field into the list, and through it. @param {KeyboardEvent} event */
  #pressed(event) {
    const { key, isComposing, target } = event;
    const isEnter = target === this.input && key === "Enter";
    if (isComposing) return;
    if (isEnter || key === "ArrowDown" || key === "ArrowUp") event.preventDefault(); // the same press must not go on in the list
    const buttons = this.#buttons;
    const place = buttons.indexOf(/** @type {HTMLButtonElement} */ (target));
    if (isEnter) this.#look().then(() => this.#buttons[0]?.focus());
    if (key === "ArrowDown") buttons[Math.min(place + 1, buttons.length - 1)]?.focus();
    if (key === "ArrowUp" && place >= 0) (buttons[place - 1] ?? this.input).focus();
  }

  get #buttons() {
    return [...this.list.querySelectorAll("button")];
  }
}

/** @param {Found} found */
function foundRow({ id, name, about, face, label, isNew }) {
  const names = el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, name), el("span", { class: "id", title: about }, about));
  const button = el("button", { type: "button", class: isNew ? "button strong" : "button", "data-id": id, "aria-label": `${label}: ${name}, ${about}`, "data-testid": "take" }, label);
  return el("li", { "data-testid": "found-row", "data-id": id }, el("div", { class: "line" }, el("span", { class: "face" }, face), names, button));
}
