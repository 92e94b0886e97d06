// @ts-check
/** Sends what is in the outbox, one message of each room at a time, until it is stored or refused for good. */

import { REQUEST_TIMEOUT_MS, sentence } from "./http.js";
import { pause } from "./subscriptions.js";

/** @typedef {import("./events.js").RoomEvent} RoomEvent */
/** @typedef {import("./subscriptions.js").Refusal} Refusal */
/**
 * @typedef {{transmit: (frame: object) => void, isOnline: () => boolean, user: () => import("./events.js").Person | null,
 *   emit: (type: any, detail: any) => void}} Owner
 */

export class Sender {
  /** When each unanswered message was sent. @type {Map<string, number>} */ #inFlight = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #again;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #watch;
  /** Those of them that were refused for now. @type {Set<string>} */ #refused = new Set();
  #refusals = 0;

  /** @param {import("./outbox.js").Outbox} outbox @param {Owner} owner */
  constructor(outbox, owner) {
    this.outbox = outbox;
    this.owner = owner;
  }

  /** Nothing of what was sent will be answered: it is sent again on the next connection. */
  lost() {
    clearTimeout(this.#again);
    clearTimeout(this.#watch);
    this.#watch = undefined;
    this.#inFlight.clear();
    this.#refused.clear();
  }

  drain() {
    if (!this.owner.isOnline()) return;
    for (const { key, room, text, replyTo } of this.outbox.next(this.#me)) {
      if (this.#inFlight.has(key)) continue;
      this.#inFlight.set(key, Date.now());
      this.owner.transmit({ type: "send", room, key, text, ...(replyTo === undefined ? {} : { reply_to: replyTo }) });
    }
    if (this.#inFlight.size) this.#watch ??= setTimeout(() => this.#look(), REQUEST_TIMEOUT_MS);
  }

  /** @param {{key: string, room: string, seq: number, number: number}} frame */
  acked({ key, room, seq, number }) {
    this.#inFlight.delete(key);
    this.#refusals = 0;
    const [user, entry] = [this.owner.user(), this.outbox.take(this.#me, key)];
    if (user && entry) {
      const { text, at, replyTo } = entry;
      const event = { type: "message", seq, number, key, id: "", text, at, sender: user.id, name: user.name };
      this.owner.emit("stored", { room, event: replyTo === undefined ? event : { ...event, reply_to: replyTo } });
    }
    this.drain();
  }

  /** A message that is in the log needs no ack any more. @param {string} room @param {RoomEvent} event */
  settle(room, event) {
    if (!this.#me || event.sender !== this.#me || !this.outbox.take(this.#me, event.key)) return;
    this.#inFlight.delete(event.key);
    this.owner.emit("outbox", { room });
    this.drain();
  }

  /** @param {string} key @param {Refusal} refusal */
  refused(key, { detail, temporary, retry_after }) {
    if (!this.#inFlight.has(key)) return; // answered otherwise meanwhile
    if (temporary) {
      this.#refused.add(key); // it stays marked as in flight, which holds its room back until then
      clearTimeout(this.#again);
      this.#again = setTimeout(() => this.#sendAgain(), pause(this.#refusals++, retry_after));
      return;
    }
    this.#inFlight.delete(key);
    const entry = this.outbox.mark(this.#me, key, sentence(detail));
    if (entry) this.owner.emit("outbox", { room: entry.room });
    this.drain();
  }

  get #me() {
    return this.owner.user()?.id ?? "";
  }

  #sendAgain() {
    for (const key of this.#refused) this.#inFlight.delete(key);
    this.#refused.clear();
    this.drain();
  }

  /** What was not answered in time is sent again: the key makes it one message. */
  #look() {
    this.#watch = undefined;
    const late = [...this.#inFlight].filter(([key, at]) => !this.#refused.has(key) && Date.now() - at >= REQUEST_TIMEOUT_MS);
    for (const [key] of late) this.#inFlight.delete(key);
    this.drain();
  }
}
