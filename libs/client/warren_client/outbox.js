// @ts-check
/** The messages on their way: kept in the browser until they are stored. No network. */

/**
 * @typedef {{key: string, room: string, user: string, text: string, at: string, failed: string | null}} Outgoing
 *   `failed` is the reason of a definite refusal, else null.
 */

/** 128 random bits in hex. (crypto.randomUUID exists on https and localhost alone.) */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What was sent and is not stored yet. It lives in sessionStorage, so that a reload loses nothing and keeps the keys. */
export class Outbox {
  static #SLOT = "warren:outbox";
  /** @type {Outgoing[]} */
  #entries = [];

  /** @param {Storage} storage */
  constructor(storage) {
    this.storage = storage;
    try {
      this.#entries = JSON.parse(storage.getItem(Outbox.#SLOT) ?? "[]");
    } catch {
      this.#entries = []; // written by another version: nothing that could be sent
    }
  }

  /** @param {string} user @param {string} room */
  of(user, room) {
    return this.#entries.filter((entry) => entry.user === user && entry.room === room);
  }

  /** The first message of each room that waits: a room's messages go out one at a time, which keeps their order. @param {string} user */
  next(user) {
    const first = new Map();
    for (const entry of this.#entries) {
      if (entry.user === user && entry.failed === null && !first.has(entry.room)) first.set(entry.room, entry);
    }
    return [...first.values()];
  }

  /** Keep a new message, under a new key. @param {string} user @param {string} room @param {string} text */
  add(user, room, text) {
    const sound = text.toWellFormed?.() ?? text; // half a surrogate pair is no JSON to the gateway
    this.#entries.push({ key: newKey(), room, user, text: sound, at: new Date().toISOString(), failed: null });
    this.#save();
  }

  /** Take the message out and return it, if it is here. @param {string} user @param {string} key @returns {Outgoing | undefined} */
  take(user, key) {
    const index = this.#entries.findIndex((entry) => entry.user === user && entry.key === key);
    if (index < 0) return undefined;
    const [entry] = this.#entries.splice(index, 1);
    this.#save();
    return entry;
  }

  /** Forget all that was meant for this room: one is not in it any more. @param {string} user @param {string} room */
  drop(user, room) {
    this.#entries = this.#entries.filter((entry) => entry.user !== user || entry.room !== room);
    this.#save();
  }

  /** @param {string} user @param {string} key @param {string | null} reason @returns {Outgoing | undefined} */
  mark(user, key, reason) {
    const entry = this.#entries.find((one) => one.user === user && one.key === key);
    if (entry) entry.failed = reason;
    this.#save();
    return entry;
  }

  #save() {
    try {
      this.storage.setItem(Outbox.#SLOT, JSON.stringify(this.#entries));
    } catch {
      // storage full or forbidden: the messages still go out, only a reload would lose them
    }
  }
}
