// @ts-check
/** What the browser remembers of a person's rooms: this tab the drafts and the open room, the profile the rest. */

const RECENT_ROOMS = 500;

export class Memory {
  /** @param {() => string} user whose rooms these are */
  constructor(user) {
    this.user = user;
  }

  /** @param {string} room */
  draft(room) {
    return sessionStorage.getItem(`warren:draft:${room}`) ?? "";
  }

  /** @param {string} room @param {string} text */
  keepDraft(room, text) {
    if (text) sessionStorage.setItem(`warren:draft:${room}`, text);
    else sessionStorage.removeItem(`warren:draft:${room}`);
  }

  /** The room that was open last. */
  get room() {
    return sessionStorage.getItem("warren:room") ?? "";
  }

  /** @param {string} room */
  opened(room) {
    sessionStorage.setItem("warren:room", room);
    const others = this.recent().filter((one) => one !== room);
    localStorage.setItem(this.#slot("recent"), JSON.stringify([room, ...others].slice(0, RECENT_ROOMS)));
  }

  /** The rooms that were opened here, the last one first. @returns {string[]} */
  recent() {
    try {
      return JSON.parse(localStorage.getItem(this.#slot("recent")) ?? "[]");
    } catch {
      return []; // written by another version
    }
  }

  /** How far a room was read; `first` if it was never seen here. @param {string} room @param {number} first */
  read(room, first) {
    const slot = this.#slot(`read:${room}`);
    if (localStorage.getItem(slot) === null) localStorage.setItem(slot, String(first));
    return Number(localStorage.getItem(slot));
  }

  /** @param {string} room @param {number} number */
  keepRead(room, number) {
    localStorage.setItem(this.#slot(`read:${room}`), String(number));
  }

  /** The notices that were dismissed before older ones were, by number. @returns {number[]} */
  dismissed() {
    try {
      return JSON.parse(localStorage.getItem(this.#slot("dismissed")) ?? "[]");
    } catch {
      return []; // written by another version
    }
  }

  /** @param {number[]} numbers */
  keepDismissed(numbers) {
    localStorage.setItem(this.#slot("dismissed"), JSON.stringify(numbers));
  }

  /** @param {string} name */
  #slot(name) {
    return `warren:${this.user()}:${name}`;
  }
}
