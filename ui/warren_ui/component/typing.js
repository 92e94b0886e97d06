// @ts-check
/** Who is typing where, and how often one says so oneself. No DOM, no network. */

/** So long it holds, in ms, unless it is said again. */
const HOLDS_MS = 6_000;
const AT_MOST_EVERY_MS = 3_000;
/** What was said before a message may come after it: they travel apart. */
const OVERTAKEN_MS = 500;

/** @typedef {{user: string, name: string}} Typist */
/** @typedef {{typist: Typist, timer: ReturnType<typeof setTimeout>}} Timed */

export class Typists {
  /** By room, then by user. @type {Map<string, Map<string, Timed>>} */ #rooms = new Map();
  /** When somebody's last message came, by room and user. @type {Map<string, number>} */ #spoke = new Map();

  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
  }

  /** Those who are typing, the first one first. @param {string} room @returns {Typist[]} */
  of(room) {
    return [...(this.#rooms.get(room)?.values() ?? [])].map(({ typist }) => typist);
  }

  /** @param {{room: string, user: string, name: string}} frame */
  heard({ room, user, name }) {
    if (Date.now() - (this.#spoke.get(slotOf(room, user)) ?? 0) < OVERTAKEN_MS) return;
    const typists = this.#rooms.get(room) ?? new Map();
    this.#rooms.set(room, typists);
    clearTimeout(typists.get(user)?.timer);
    typists.set(user, { typist: { user, name }, timer: setTimeout(() => this.end(room, user), HOLDS_MS) });
    this.changed();
  }

  /** A message of theirs has come. @param {string} room @param {string} user */
  spoke(room, user) {
    const slot = slotOf(room, user);
    this.#spoke.set(slot, Date.now());
    setTimeout(() => this.#spoke.delete(slot), OVERTAKEN_MS);
    this.end(room, user);
  }

  /** They type no more. @param {string} room @param {string} user */
  end(room, user) {
    const entry = this.#rooms.get(room)?.get(user);
    if (!entry) return;
    clearTimeout(entry.timer);
    this.#rooms.get(room)?.delete(user);
    this.changed();
  }

  /** @param {string} room */
  forget(room) {
    for (const { user } of this.of(room)) this.end(room, user);
    this.#rooms.delete(room);
  }

  stop() {
    for (const room of [...this.#rooms.keys()]) this.forget(room);
  }
}

/** @param {string} room @param {string} user */
function slotOf(room, user) {
  return `${room} ${user}`;
}

/** Says that one is typing, not too often. */
export class TypingNotice {
  /** When it was said last, by room. @type {Map<string, number>} */ #said = new Map();
  #notBefore = 0;

  /** @param {(room: string) => void} say */
  constructor(say) {
    this.say = say;
  }

  /** The person has typed something. @param {string} room */
  typed(room) {
    const now = Date.now();
    if (now < this.#notBefore || now - (this.#said.get(room) ?? 0) < AT_MOST_EVERY_MS) return;
    this.#said.set(room, now);
    this.say(room);
  }

  /** The server wants to hear less. @param {number} seconds */
  hush(seconds) {
    this.#notBefore = Date.now() + seconds * 1_000;
  }
}
