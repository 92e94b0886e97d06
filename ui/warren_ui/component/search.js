// @ts-check
/** Finds people to invite, by the beginning of a name or by exact id. */

import { el, searchField } from "./draw.js";
import { drawRows, simpleRow } from "./panelrows.js";

/** @typedef {import("warren-client").Entry} Entry */

const TYPING_PAUSE_MS = 250;
const USER_ID = /^[A-Za-z0-9_.@+-]{1,128}$/;

export class Search {
  #room = "";
  #wanted = "";
  /** @type {Entry[]} */ #found = [];
  /** @type {Set<string>} */ #members = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {import("warren-client").GatewayApi} api @param {import("./names.js").Names} names */
  constructor(api, names) {
    this.api = api;
    this.names = names;
    this.input = searchField({ placeholder: "Name or id", "aria-label": "Invite somebody by name or id", autocomplete: "off", maxlength: 128, "data-testid": "invite-search" });
    this.list = el("ul", { "data-testid": "found" });
    this.said = el("p", { class: "hint", role: "status" });
    this.root = el("div", { class: "section" }, el("h3", {}, "Invite"), this.input, this.said, this.list);
    this.input.addEventListener("input", () => this.#typed());
  }

  /** @param {boolean} offered @param {string} room @param {Set<string>} members who are in already */
  show(offered, room, members) {
    this.root.hidden = !offered;
    if (room !== this.#room) this.clear();
    [this.#room, this.#members] = [room, members];
    this.#draw();
  }

  clear() {
    clearTimeout(this.#timer);
    [this.input.value, this.#wanted, this.#found, this.said.textContent] = ["", "", [], ""];
    this.#draw();
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#wanted = this.input.value.trim();
    if (!this.#wanted) return this.clear();
    this.#timer = setTimeout(() => this.#look(this.#wanted), TYPING_PAUSE_MS);
  }

  /** @param {string} wanted */
  async #look(wanted) {
    try {
      const found = await this.api.people(wanted);
      if (wanted !== this.#wanted) return; // typed on meanwhile
      for (const { user, name } of found) this.names.learn(user, name);
      this.#found = found;
      this.said.textContent = found.length ? "" : "Nobody of that name has been here. An exact id can be invited all the same.";
    } catch (error) {
      this.said.textContent = /** @type {Error} */ (error).message;
    }
    this.#draw();
  }

  #draw() {
    const exact = USER_ID.test(this.#wanted) && !this.#found.some(({ user }) => user === this.#wanted);
    const rows = [...this.#found, ...(exact ? [{ user: this.#wanted, name: this.#wanted }] : [])];
    const fresh = rows.filter(({ user }) => !this.#members.has(user));
    drawRows(this.list, fresh, ({ user }) => user, (entry) => JSON.stringify(entry), (entry) => simpleRow(entry, "invite", "Invite"));
  }
}
