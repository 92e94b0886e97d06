// @ts-check
/** Who else is there: keeps presence and typing as the gateway tells them, and tells it of this person in turn. */

import { worded } from "./draw.js";
import { Idle } from "./idle.js";
import { Growing } from "./growing.js";
import { Presence } from "./presence.js";
import { TypingNotice, Typists } from "./typing.js";
import { typingText } from "./wording.js";

/** @typedef {import("./presence.js").Status} Status */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {{status: Status, seen: string | undefined}} Peer  `seen`: when one who is offline was last there, RFC 3339 */

/** How often the same room is joined again for its state, at most. */
const REPAIR_MS = 5_000;
/** The services that know it may be a moment behind the one that told us that somebody left. */
const LOOKUP_TURNS = 3;
const LOOKUP_PAUSE_MS = 2_000;
/** "5 minutes ago" does not stay true. */
const AGEING_MS = 30_000;

export class PresenceSync {
  #presence = new Presence();
  /** When the state of a room was asked for last. @type {Map<string, number>} */ #asked = new Map();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */ #repairs = new Map();
  /** @type {Map<string, string>} */ #lastSeen = new Map();
  #absent = ""; // the open room, if it is a direct one whose other person is not there
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #repeat;
  #ageing = setInterval(() => this.#absent && this.changed(), AGEING_MS);

  /** @param {HTMLElement} line where it says who is typing @param {import("warren-client").WarrenClient} client @param {import("./names.js").Names} names @param {{changed: () => void, isBlocked: (user: string) => boolean}} owner */
  constructor(line, client, names, { changed, isBlocked }) {
    this.line = line;
    this.client = client;
    this.names = names;
    this.changed = changed;
    this.isBlocked = isBlocked;
    this.typists = new Typists(changed);
    this.growing = new Growing(changed);
    this.notice = new TypingNotice((room) => client.typing(room));
    this.idle = new Idle((status) => client.report(status));
    this.#hearClient();
  }

  stop() {
    this.idle.stop();
    this.typists.stop();
    this.growing.stop();
    clearInterval(this.#ageing);
    clearTimeout(this.#repeat);
    for (const room of [...this.#repairs.keys()]) this.#settle(room);
  }

  /** The person has typed something. @param {string} room */
  typed(room) {
    if (room) this.notice.typed(room);
  }

  /** Who is in the room; undefined until it is known. @param {string} room */
  here(room) {
    return this.#presence.here(room);
  }

  /** The other one of a direct room; undefined for other rooms, until it is known, and of whom one has blocked. @param {Timeline} timeline @returns {Peer | undefined} */
  peer({ room, peer, isBlocked }) {
    const status = peer && !isBlocked && this.#presence.status(room, peer);
    return status ? { status, seen: status === "offline" ? this.#lastSeen.get(peer) : undefined } : undefined;
  }

  /** Those who are typing; whom one has blocked is not told of. @param {string} room */
  #typing(room) {
    return this.typists.of(room).filter(({ user }) => !this.isBlocked(user));
  }

  /** Replies as they are written. @param {string} room */
  growingIn(room) {
    return this.growing.of(room).filter(({ sender }) => !this.isBlocked(sender));
  }

  /** @param {Timeline | undefined} timeline the open room */
  draw(timeline) {
    this.#lookFor(timeline);
    const words = timeline ? typingText(this.#typing(timeline.room).map(({ user, name }) => this.names.called(user, name))) : [];
    const said = JSON.stringify(words);
    if (this.line.dataset.said === said) return;
    this.line.dataset.said = said;
    this.line.classList.toggle("on", words.length > 0);
    this.line.replaceChildren(...worded(words));
  }

  // --- what the gateway says --------------------------------------------------------------------------------------

  #hearClient() {
    /** @type {Record<string, (detail: any) => void>} */
    const handlers = {
      welcome: () => this.#presence.outdate(),
      joined: ({ room }) => this.#asked.set(room, Date.now()), // its state is on the way
      presence: (frame) => this.#changed(frame),
      typing: (frame) => this.typists.heard(frame),
      partial: (frame) => this.growing.heard(frame),
      events: ({ room, events }) => this.#received(room, events),
      throttled: ({ room, seconds }) => (room ? this.notice.hush(seconds) : this.#reportLater(seconds)),
      unfollowed: ({ room }) => this.#forget(room),
      denied: ({ room }) => this.#forget(room),
      left: ({ room }) => this.#forget(room),
    };
    for (const [type, handle] of Object.entries(handlers)) {
      this.client.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    }
  }

  /** @param {import("./presence.js").PresenceFrame} frame */
  #changed(frame) {
    for (const { user, name } of [...(frame.state ?? []), ...(frame.diff ?? [])]) this.names.meet(user, name);
    const { follows, gone } = this.#presence.apply(frame);
    if (!follows) return this.#repair(frame.room);
    this.#settle(frame.room);
    for (const user of gone) this.typists.end(frame.room, user);
    this.changed();
  }

  /** @param {string} room @param {import("warren-client").RoomEvent[]} events */
  #received(room, events) {
    for (const event of events) {
      if (event.type !== "message") continue;
      this.typists.spoke(room, event.sender);
      this.growing.finished(room, event);
    }
  }

  /** Something was lost: join again, which brings the state, unless that comes by itself. @param {string} room */
  #repair(room) {
    if (this.#repairs.has(room)) return;
    const wait = Math.max(0, (this.#asked.get(room) ?? 0) + REPAIR_MS - Date.now());
    const repair = () => {
      this.#repairs.delete(room);
      this.#asked.set(room, Date.now());
      this.client.rejoin(room);
    };
    this.#repairs.set(room, setTimeout(repair, wait));
  }

  /** The state is there. @param {string} room */
  #settle(room) {
    clearTimeout(this.#repairs.get(room));
    this.#repairs.delete(room);
  }

  /** @param {string} room */
  #forget(room) {
    this.#settle(room);
    this.#asked.delete(room);
    this.#presence.forget(room);
    this.typists.forget(room);
    this.growing.forget(room);
    this.changed();
  }

  /** @param {number} seconds */
  #reportLater(seconds) {
    clearTimeout(this.#repeat);
    this.#repeat = setTimeout(() => this.client.report(this.idle.status), seconds * 1_000);
  }

  // --- last seen --------------------------------------------------------------------------------------------------

  /** Ask when the other one of the open room was last there: once each time that they are found to be away. @param {Timeline | undefined} timeline */
  #lookFor(timeline) {
    const absent = timeline && this.peer(timeline)?.status === "offline" ? timeline.room : "";
    if (absent === this.#absent) return;
    this.#absent = absent;
    if (timeline && absent) this.#lookUp(timeline);
  }

  /** @param {Timeline} timeline */
  async #lookUp({ room, peer }) {
    this.#lastSeen.delete(peer);
    for (let turn = 0; turn < LOOKUP_TURNS && this.#absent === room && !this.#lastSeen.has(peer); turn += 1) {
      if (turn) await new Promise((resolve) => setTimeout(resolve, LOOKUP_PAUSE_MS));
      const found = await this.client.api.user(peer).catch(() => null); // "offline" is true without it
      if (found?.last_seen) this.#lastSeen.set(peer, found.last_seen);
      if (!found || found.status === "offline") break;
    }
    this.changed();
  }
}
