// @ts-check
/** What the browser remembers of a person's rooms: this tab the drafts and the open room, the profile the rest. */

import { SafeStorage } from "./storage.js";

const RECENT_ROOMS = 500;
/** Where earlier versions kept drafts and the open room: of whom, nobody knows any more. */
const NOBODYS = ["warren:draft:", "warren:room"];

export class Memory {
  #profile = new SafeStorage(() => localStorage);

  /** @param {SafeStorage} tab @param {() => string} user whose rooms these are; "" while that is not known, and then nothing is kept in the tab */
  constructor(tab, user) {
    this.tab = tab;
    this.user = user;
    for (const key of NOBODYS.flatMap((prefix) => tab.keys(prefix))) tab.removeItem(key);
  }

  /** @param {string} room */
  draft(room) {
    return this.user() ? (this.tab.getItem(this.#slot(`draft:${room}`)) ?? "") : "";
  }

  /** @param {string} room @param {string} text */
  keepDraft(room, text) {
    if (!this.user()) return;
    if (text) this.tab.setItem(this.#slot(`draft:${room}`), text);
    else this.tab.removeItem(this.#slot(`draft:${room}`));
  }

  /** The room that was open last. */
  get room() {
    return this.tab.getItem(this.#slot("room")) ?? "";
  }

  /** @param {string} room */
  opened(room) {
    this.tab.setItem(this.#slot("room"), room);
    const others = this.recent().filter((one) => one !== room);
    this.#profile.setItem(this.#slot("recent"), JSON.stringify([room, ...others].slice(0, RECENT_ROOMS)));
  }

  /** The rooms that were opened here, the last one first. @returns {string[]} */
  recent() {
    return this.#list("recent");
  }

  /** How far a room was read; `first` if it was never seen here. @param {string} room @param {number} first */
  read(room, first) {
    const slot = this.#slot(`read:${room}`);
    if (this.#profile.getItem(slot) === null) this.#profile.setItem(slot, String(first));
    return Number(this.#profile.getItem(slot));
  }

  /** @param {string} room @param {number} number */
  keepRead(room, number) {
    this.#profile.setItem(this.#slot(`read:${room}`), String(number));
  }

  /** The notices that were dismissed before older ones were, by number. @returns {number[]} */
  dismissed() {
    return this.#list("dismissed");
  }

  /** @param {number[]} numbers */
  keepDismissed(numbers) {
    this.#profile.setItem(this.#slot("dismissed"), JSON.stringify(numbers));
  }

  /** @param {string} name @returns {any[]} */
  #list(name) {
    try {
      const list = JSON.parse(this.#profile.getItem(this.#slot(name)) ?? "[]");
      return Array.isArray(list) ? list : [];
    } catch {
      return []; // written by another version
    }
  }

  /** @param {string} name */
  #slot(name) {
    return `warren:${this.user()}:${name}`;
  }
}
