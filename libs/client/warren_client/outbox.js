// @ts-check
/** The messages on their way: kept in the browser until they are stored. No network. */

import { isRecord } from "./frames.js";
import { wellFormed } from "./http.js";

/**
 * @typedef {{key: string, room: string, user: string, text: string, replyTo?: number, at: string, failed: string | null}} Outgoing
 *   `user` is "" until it is known who writes; `failed` is the reason of a definite refusal, else null.
 */
/** @typedef {Pick<Storage, "getItem" | "setItem">} Store */

/** So many messages wait at most: one who writes more has been offline for long, and is told. */
const LIMIT = 1_000;

/** 128 random bits in hex. (crypto.randomUUID exists on https and localhost alone.) */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The browser's storage of this tab; null where there is none, as in a sandboxed frame. */
export function tabStorage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** What was sent and is not stored yet. It lives in sessionStorage, so that a reload loses nothing and keeps the keys. */
export class Outbox {
  static #SLOT = "warren:outbox";
  /** @type {Outgoing[]} */
  #entries = [];

  /** @param {Store | null} storage */
  constructor(storage) {
    this.storage = storage;
    try {
      this.#entries = JSON.parse(storage?.getItem(Outbox.#SLOT) ?? "[]").filter(isRecord);
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

  /** Keep a new message, under a new key. Throws a RangeError if too many wait. @param {string} user @param {string} room @param {string} text @param {number} [replyTo] */
  add(user, room, text, replyTo) {
    if (this.#entries.length >= LIMIT) throw new RangeError(`${LIMIT} messages wait to be sent already`);
    const entry = { key: newKey(), room, user, text: wellFormed(text), at: new Date().toISOString(), failed: null };
    this.#entries.push(replyTo === undefined ? entry : { ...entry, replyTo });
    this.#save();
    return entry.key;
  }

  /** Whoever wrote before it was known who they are is this one. @param {string} user */
  adopt(user) {
    for (const entry of this.#entries) entry.user ||= user;
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

  /** Of nobody known is not kept: after a reload it could be somebody else's. */
  #save() {
    try {
      this.storage?.setItem(Outbox.#SLOT, JSON.stringify(this.#entries.filter(({ user }) => user)));
    } catch {
      // storage full or forbidden: the messages still go out, only a reload would lose them
    }
  }
}
