// @ts-check
/** What befell one elsewhere, as one's inbox room tells it, and what of it is still to be read. No DOM, no network. */

/** @typedef {import("warren-client").RoomEvent} RoomEvent */
/**
 * @typedef {RoomEvent & {number: number, what: string, of_room: string, of_seq: number, kind: string, title: string,
 *   revoked?: boolean}} Notice  `revoked`: not a membership ended, but an invitation that was not answered yet
 */

/** One's inbox room, as clients name it. */
export const INBOX = "@me";
const KEPT_NOTICES = 200;
/** Of each topic and room the last notice counts: a mute that was lifted needs no telling, nor an answered invitation. */
const TOPICS = /** @type {Record<string, string>} */ ({
  "member.invited": "place", "member.removed": "place", "member.banned": "place", "member.unbanned": "place",
  "member.joined": "place", "member.left": "place",
  "member.muted": "mute", "member.unmuted": "mute", "member.role": "role", "room.created": "start",
});

/** One's own answers to invitations: they settle what came before, and are not shown. */
const ANSWERS = ["member.joined", "member.left"];

export class Inbox {
  /** By number. @type {Map<number, Notice>} */ #notices = new Map();
  /** How many there are. */ number = 0;

  /** @param {import("./memory.js").Memory} memory */
  constructor(memory) {
    this.memory = memory;
  }

  /** Forget all: it is about to be loaded anew. @param {number} number how many there are @param {number} read by the server's count */
  reset(number, read) {
    this.#notices.clear();
    this.number = number;
    if (read > this.#read) this.memory.keepRead(INBOX, read);
  }

  /** @param {RoomEvent[]} events @returns {Notice[]} those that were new */
  add(events) {
    const found = /** @type {Notice[]} */ (events.filter(({ type, number }) => type === "notice" && number && !this.#notices.has(number)));
    for (const notice of found) {
      this.#notices.set(notice.number, notice);
      this.number = Math.max(this.number, notice.number);
    }
    for (const { number } of this.#sorted().slice(0, -KEPT_NOTICES)) this.#notices.delete(number);
    return found;
  }

  /** What is to be shown, the last first. @returns {Notice[]} */
  open() {
    const dismissed = new Set(this.memory.dismissed());
    const read = this.#read;
    return this.#latest()
      .filter(({ number, what }) => number > read && !dismissed.has(number) && !ANSWERS.includes(what))
      .sort((a, b) => b.number - a.number);
  }

  /** The person has seen these. @param {Notice[]} notices */
  dismiss(notices) {
    const dismissed = [...this.memory.dismissed(), ...notices.map(({ number }) => number)];
    this.memory.keepDismissed(dismissed);
    const open = this.open().map(({ number }) => number);
    const read = Math.max(this.#read, Math.min(this.number, ...open.map((number) => number - 1)));
    this.memory.keepRead(INBOX, read);
    this.memory.keepDismissed(dismissed.filter((number) => number > read));
  }

  /** @param {number} number */
  get(number) {
    return this.#notices.get(number);
  }

  /** Why one was muted there; the room's details do not say. @param {string} room */
  muteReason(room) {
    const last = this.#sorted().filter(({ of_room, what }) => of_room === room && TOPICS[what] === "mute").at(-1);
    return last?.what === "member.muted" ? (last.reason ?? "") : "";
  }

  get #read() {
    return this.memory.read(INBOX, 0);
  }

  #sorted() {
    return [...this.#notices.values()].sort((a, b) => a.number - b.number);
  }

  /**
   * The last notice of each topic and room, by the room's order: of two that were published at once, the later one may have
   * come first. Tomorrow's kinds are not shown by today's page.
   */
  #latest() {
    /** @type {Map<string, Notice>} */
    const latest = new Map();
    for (const notice of [...this.#notices.values()].sort((a, b) => a.of_seq - b.of_seq)) {
      const topic = TOPICS[notice.what];
      if (!topic) continue;
      const before = latest.get(`${topic} ${notice.of_room}`);
      const revoked = notice.what === "member.removed" && before?.what === "member.invited";
      latest.set(`${topic} ${notice.of_room}`, { ...notice, revoked });
    }
    return [...latest.values()];
  }
}
