// @ts-check
/** Replies that bots show as they write them: each until its message comes, or nothing more does. No DOM, no network. */

/** So long a part holds, in ms, unless another comes. */
const PART_HOLDS_MS = 15_000;
/** Replies of one room that are shown at once, the latest. */
const SHOWN_AT_ONCE = 20;

/** @typedef {{sender: string, name: string, key: string, text: string, at: string}} Part */

export class Growing {
  /** By room, then by sender and key. @type {Map<string, Map<string, {part: Part, timer: ReturnType<typeof setTimeout>}>>} */ #rooms = new Map();

  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
  }

  /** @param {string} room @returns {Part[]} */
  of(room) {
    return [...(this.#rooms.get(room)?.values() ?? [])].map(({ part }) => part);
  }

  /** @param {{room: string, user: string, name: string, key: string, text: string}} frame */
  heard({ room, user, name, key, text }) {
    const parts = this.#rooms.get(room) ?? new Map();
    this.#rooms.set(room, parts);
    const slot = `${user} ${key}`;
    const before = parts.get(slot);
    clearTimeout(before?.timer);
    const part = { sender: user, name, key, text, at: before?.part.at ?? new Date().toISOString() };
    parts.set(slot, { part, timer: setTimeout(() => this.#end(room, slot), PART_HOLDS_MS) });
    if (parts.size > SHOWN_AT_ONCE) this.#end(room, parts.keys().next().value ?? "");
    this.changed();
  }

  /** The message itself has come. @param {string} room @param {{sender: string, key: string}} event */
  finished(room, { sender, key }) {
    this.#end(room, `${sender} ${key}`);
  }

  /** @param {string} room */
  forget(room) {
    for (const slot of [...(this.#rooms.get(room)?.keys() ?? [])]) this.#end(room, slot);
    this.#rooms.delete(room);
  }

  stop() {
    for (const room of [...this.#rooms.keys()]) this.forget(room);
  }

  /** @param {string} room @param {string} slot */
  #end(room, slot) {
    const entry = this.#rooms.get(room)?.get(slot);
    if (!entry) return;
    clearTimeout(entry.timer);
    this.#rooms.get(room)?.delete(slot);
    this.changed();
  }
}
