// @ts-check
/** What is known of one room: its messages, what one is in it, how far it was read. No DOM, no network. */

import { noteText } from "./wording.js";

/** @typedef {import("warren-client").RoomEvent} RoomEvent */
/** @typedef {import("warren-client").RoomInfo} RoomInfo */
/** @typedef {import("warren-client").Outgoing} Outgoing */
/** @typedef {import("./wording.js").NameOf} NameOf */
/** @typedef {{kind: "day", key: string, label: string} | {kind: "new", key: string} | {kind: "start", key: string}} Divider */
/** @typedef {{kind: "note", key: string, event: RoomEvent, words: import("./wording.js").Wording}} Note */
/**
 * @typedef {{kind: "message", key: string, event: RoomEvent, state: "pending" | "stored" | "failed", reason: string,
 *   mine: boolean, first: boolean, last: boolean, id: string}} Line  `first` and `last` of a group of one author; `id`: their
 *   id, if the name does not tell who it is
 */
/**
 * What happened between two seqs and is not here: a page of history has the newest of it alone.
 * @typedef {{after: number, before: number, isLoading: boolean, problem: string}} Cut
 */
/** @typedef {Divider | Note | Line | {kind: "cut", key: string, cut: Cut}} Row */
/** @typedef {{messages: RoomEvent[], notes: RoomEvent[], more: boolean, notes_cut?: boolean}} Page */

const GROUP_MS = 5 * 60_000;
const KEPT = 300;
const TRIM_ABOVE = 600;
const SHOWN_TYPES = [
  "message", "room.created", "room.renamed", "room.archived", "room.restored", "member.joined", "member.left", "member.invited",
  "member.removed", "member.banned", "member.unbanned", "member.muted", "member.unmuted", "member.role",
];

/** Tomorrow's event types are not drawn by today's client. @param {RoomEvent} event */
function isShown(event) {
  return SHOWN_TYPES.includes(event.type);
}

/** The events that say whether one is in a room. */
const PLACES = ["member.joined", "member.left", "member.removed", "member.banned", "member.invited"];

/** What ended one's part in the room, if one did not come back after it. @param {RoomEvent[]} events @param {string} me */
export function endOf(events, me) {
  const last = events.filter(({ type, user }) => user === me && PLACES.includes(type)).at(-1);
  return last && last.type !== "member.joined" ? last : undefined;
}

/** @param {Date} day */
function dayLabel(day) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.round((midnight - new Date(day).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { weekday: "long", day: "numeric", month: "long", ...(days > 300 ? { year: "numeric" } : {}) };
  return day.toLocaleDateString([], format);
}

/** The start of a word in each of the first and the last name. @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return chosen.map((word) => [...word][0] ?? "?").join("").toUpperCase();
}

/** A hue that stays with the user (FNV-1a, spread by the golden angle). @param {string} id */
export function hueOf(id) {
  let hash = 2166136261;
  for (const char of id) hash = Math.imul(hash ^ /** @type {number} */ (char.codePointAt(0)), 16777619);
  return Math.round(((hash >>> 0) * 137.508) % 360);
}

export class Timeline {
  /** @type {Map<number, RoomEvent>} */ events = new Map();
  /** @type {"none" | "loading" | "loaded" | "failed"} */ history = "none";
  /** Why history could not be loaded, or the room not be joined. */ problem = "";
  /** @type {Cut[]} */ cuts = [];
  more = false;
  loadingOlder = false;
  number = 0;
  read = 0;
  /** The last message that was read when the room was opened: the "New" line comes after it. */ newAfter = Infinity;
  /** The last event that `title` and what follows take into account. */ seq = 0;
  title = "";
  archived = false;
  /** What one is here. @type {string | null} */ role = "member";
  /** Whether one has blocked the other one of a direct room. */ isBlocked = false;
  /** A direct room is hidden up to this message. */ #hiddenUpTo = -1;
  /** Until when one may not write, in ms, and why if that is known. @type {{until: number, reason: string} | null} */ muted = null;

  /** @param {RoomInfo} info */
  constructor(info) {
    this.room = info.room;
    this.kind = info.kind;
    /** The other one of a direct room; "" in others. */ this.peer = info.peer?.user ?? "";
    this.learn(info, "");
  }

  /**
   * The room as the server describes it at its head. What happened after that stands, if it is still here; the reason of
   * a mute that we know, too, since descriptions have none.
   * @param {RoomInfo} info @param {string} me
   */
  learn(info, me) {
    const head = info.head ?? 0;
    if (head < this.seq && info.muted === undefined) return; // a list that is older than what we know
    this.title = info.peer ? info.peer.name : info.title;
    this.archived = Boolean(info.archived);
    this.role = info.role ?? null;
    if (info.muted !== undefined) this.#mute(info.muted, this.muted?.reason);
    for (const event of this.#sorted()) if (event.seq > head) this.#apply(event, me);
    this.seq = Math.max(this.seq, head);
  }

  /** @param {RoomEvent} event @param {string} me */
  #apply(event, me) {
    if (event.type === "room.renamed") this.title = event.title ?? this.title;
    if (event.type === "room.archived" || event.type === "room.restored") this.archived = event.type === "room.archived";
    if (event.user !== me) return;
    if (event.type === "member.role") this.role = event.role ?? this.role;
    if (event.type === "member.muted") this.#mute(event.until ?? "9999-12-31T00:00:00Z", event.reason);
    if (event.type === "member.unmuted") this.muted = null;
  }

  /** @param {string | null} until @param {string} [reason] */
  #mute(until, reason = "") {
    this.muted = until ? { until: until.startsWith("9999") ? Infinity : Date.parse(until), reason } : null;
  }

  #sorted() {
    return [...this.events.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Whether it is hidden: until the next message. */
  get isHidden() {
    return this.number <= this.#hiddenUpTo;
  }

  /** What one has decided about a direct room, as a list of rooms says it. @param {RoomInfo} info */
  learnAffair({ hidden, blocked, number = 0 }) {
    this.#hiddenUpTo = hidden ? number : -1;
    this.isBlocked = Boolean(blocked);
  }

  /** The same, as it is decided. @param {RoomEvent} event of one's own inbox */
  decide({ type, upto = -1 }) {
    if (type === "direct.hidden" || type === "direct.shown") this.#hiddenUpTo = upto;
    if (type === "person.blocked" || type === "person.unblocked") this.isBlocked = type === "person.blocked";
  }

  get unread() {
    return Math.max(0, this.number - this.read);
  }

  /** The seq of the oldest event here. */
  get oldest() {
    return Math.min(...this.events.keys());
  }

  /** What happens now. @param {RoomEvent[]} events @param {string} me */
  add(events, me) {
    for (const event of events) {
      if (event.seq > this.seq) this.#apply(event, me);
      this.seq = Math.max(this.seq, event.seq);
    }
    this.keep(events);
  }

  /** Known messages, whose place in the log says nothing of what else we know. @param {RoomEvent[]} events */
  keep(events) {
    for (const event of events) {
      this.number = Math.max(this.number, event.number ?? 0);
      if (isShown(event) && this.history !== "none") this.events.set(event.seq, event);
    }
  }

  /** @param {Page} page */
  addPage({ messages, notes, more, notes_cut }) {
    this.keep([...notes, ...messages]);
    this.more = more;
    if (notes_cut) this.cuts.push({ after: more ? messages[0].seq : 0, before: notes[0].seq, isLoading: false, problem: "" });
  }

  /** The end of what was cut, after a seq. @param {Cut} cut @param {RoomEvent[]} events @param {number} after */
  fill(cut, events, after) {
    this.keep(events);
    cut.before = after + 1;
    this.cuts = this.cuts.filter(({ after, before }) => before > after + 1);
  }

  /** Forget the log, not the marks: it is about to be loaded anew. */
  reset() {
    this.events.clear();
    this.cuts = [];
    this.more = false;
    this.history = "none";
  }

  /** Drop the oldest of a long conversation; scrolling up loads them again. */
  trim() {
    if (this.events.size <= TRIM_ABOVE) return;
    const seqs = [...this.events.keys()].sort((a, b) => a - b);
    for (const seq of seqs.slice(0, seqs.length - KEPT)) this.events.delete(seq);
    const { oldest } = this;
    this.cuts = this.cuts.filter(({ before }) => before > oldest);
    for (const cut of this.cuts) cut.after = Math.max(cut.after, oldest - 1); // older pages have the rest
    this.more = true;
  }

  /** Everything to draw, from top to bottom. @param {string} me @param {(Outgoing | import("./growing.js").Part)[]} waiting @param {NameOf} called @returns {Row[]} */
  rows(me, waiting, called) {
    /** @type {Map<string, string>} */
    const before = new Map(); // what happened last to whom
    const stored = this.#sorted().map((event) => {
      if (event.type === "message") return this.#line(event, me, called, "stored", "");
      const words = noteText(event, me, called, before.get(event.user ?? ""));
      if (event.user) before.set(event.user, event.type);
      return /** @type {Note} */ ({ kind: "note", key: `${event.sender} ${event.key}`, event, words });
    });
    const known = new Set(stored.map(({ key }) => key)); // a part of a reply may come after it
    const coming = waiting.map((entry) => ("failed" in entry ? this.#waiting(entry, me, called) : this.#growing(entry, me, called)));
    return this.#withDividers([...stored, ...coming.filter(({ key }) => !known.has(key))]);
  }

  /** @param {RoomEvent} event @param {string} me @param {NameOf} called @param {Line["state"]} state @param {string} reason @returns {Line} */
  #line(event, me, called, state, reason) {
    const key = `${event.sender} ${event.key}`; // the same for a message before and after it is stored
    return { kind: "message", key, event, state, reason, mine: event.sender === me, first: true, last: true, id: event.sender === me ? "" : (called(event.sender, event.name).id ?? "") };
  }

  /** @param {Outgoing} entry @param {string} me @param {NameOf} called */
  #waiting({ key, text, at, failed }, me, called) {
    const event = { seq: 0, type: "message", id: "", sender: me, name: "", key, at, text };
    return this.#line(event, me, called, failed === null ? "pending" : "failed", failed ?? "");
  }

  /** @param {import("./growing.js").Part} part @param {string} me @param {NameOf} called */
  #growing(part, me, called) {
    return this.#line({ seq: 0, type: "message", id: "", ...part }, me, called, "pending", "");
  }

  /** @param {(Line | Note)[]} lines @returns {Row[]} */
  #withDividers(lines) {
    /** @type {Row[]} */
    const rows = this.history === "loaded" && !this.more ? [{ kind: "start", key: this.number ? "start" : "start of nothing" }] : [];
    let day = "";
    let marked = false;
    /** @type {Line | Note | null} */
    let previous = null;
    const cuts = [...this.cuts].sort((a, b) => a.before - b.before);
    for (const line of lines) {
      while (cuts.length && line.event.seq >= cuts[0].before) {
        rows.push(.../** @type {Row[]} */ (cuts.splice(0, 1).map((cut) => ({ kind: "cut", key: `cut ${cut.after}`, cut }))));
        previous = null;
      }
      const label = dayLabel(new Date(line.event.at));
      if (label !== day) rows.push({ kind: "day", key: `day ${line.key}`, label });
      /** @type {boolean} */
      const isNew = !marked && line.kind === "message" && !line.mine && (line.event.number ?? 0) > this.newAfter;
      if (isNew) rows.push({ kind: "new", key: "new" });
      if (label !== day || isNew) previous = null;
      group(previous, line);
      rows.push(line);
      [day, marked, previous] = [label, marked || isNew, line];
    }
    return rows;
  }
}

/** Join a message to the one before, if the author is the same and not much time has passed. @param {Line | Note | null} previous @param {Line | Note} line */
function group(previous, line) {
  if (previous?.kind !== "message" || line.kind !== "message" || previous.event.sender !== line.event.sender) return;
  if (Date.parse(line.event.at) - Date.parse(previous.event.at) > GROUP_MS) return;
  previous.last = false;
  line.first = false;
}
