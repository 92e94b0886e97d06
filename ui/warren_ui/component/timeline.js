// @ts-check
/** What is known of one room: its messages, how far it was read, what waits in the outbox. No DOM, no network. */

/** @typedef {import("./client.js").RoomEvent} RoomEvent */
/** @typedef {import("./outbox.js").Outgoing} Outgoing */
/** @typedef {{kind: "day", key: string, label: string} | {kind: "new", key: string} | {kind: "start", key: string}} Divider */
/** @typedef {{kind: "note", key: string, event: RoomEvent}} Note */
/**
 * @typedef {{kind: "message", key: string, event: RoomEvent, state: "pending" | "stored" | "failed", reason: string,
 *   mine: boolean, first: boolean, last: boolean}} Line  `first` and `last` of a group of one author
 */
/** @typedef {Divider | Note | Line} Row */

const GROUP_MS = 5 * 60_000;
const KEPT = 300;
const TRIM_ABOVE = 600;
const SHOWN_TYPES = ["message", "room.created", "member.joined"];

/** Tomorrow's event types are not drawn by today's client. @param {RoomEvent} event */
function isShown(event) {
  return SHOWN_TYPES.includes(event.type);
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
  more = false;
  loadingOlder = false;
  number = 0;
  read = 0;
  /** The last message that was read when the room was opened: the "New" line comes after it. */ newAfter = Infinity;

  /** @param {string} room @param {string} kind @param {string} title */
  constructor(room, kind, title) {
    this.room = room;
    this.kind = kind;
    this.title = title;
  }

  get unread() {
    return Math.max(0, this.number - this.read);
  }

  /** The seq of the oldest event here. */
  get oldest() {
    return Math.min(...this.events.keys());
  }

  /** @param {RoomEvent[]} events */
  add(events) {
    for (const event of events) {
      this.number = Math.max(this.number, event.number ?? 0);
      if (isShown(event) && this.history !== "none") this.events.set(event.seq, event);
    }
  }

  /** @param {{messages: RoomEvent[], more: boolean}} page */
  addPage(page) {
    this.add(page.messages);
    this.more = page.more;
  }

  /** Forget the log, not the marks: it is about to be loaded anew. */
  reset() {
    this.events.clear();
    this.more = false;
    this.history = "none";
  }

  /** Drop the oldest of a long conversation; scrolling up loads them again. */
  trim() {
    if (this.events.size <= TRIM_ABOVE) return;
    const seqs = [...this.events.keys()].sort((a, b) => a - b);
    for (const seq of seqs.slice(0, seqs.length - KEPT)) this.events.delete(seq);
    this.more = true;
  }

  /** Everything to draw, from top to bottom. @param {string} me @param {Outgoing[]} waiting @returns {Row[]} */
  rows(me, waiting) {
    const stored = [...this.events.values()].sort((a, b) => a.seq - b.seq);
    const lines = [
      ...stored.map((event) => this.#line(event, me, "stored", "")),
      ...waiting.map((entry) => this.#waiting(entry, me)),
    ];
    return this.#withDividers(lines);
  }

  /** @param {RoomEvent} event @param {string} me @param {Line["state"]} state @param {string} reason @returns {Line | Note} */
  #line(event, me, state, reason) {
    const key = `${event.sender} ${event.key}`; // the same for a message before and after it is stored
    if (event.type !== "message") return { kind: "note", key, event };
    return { kind: "message", key, event, state, reason, mine: event.sender === me, first: true, last: true };
  }

  /** @param {Outgoing} entry @param {string} me */
  #waiting({ key, text, at, failed }, me) {
    const event = { seq: 0, type: "message", id: "", sender: me, name: "", key, at, text };
    return this.#line(event, me, failed === null ? "pending" : "failed", failed ?? "");
  }

  /** @param {(Line | Note)[]} lines @returns {Row[]} */
  #withDividers(lines) {
    /** @type {Row[]} */
    const rows = this.history === "loaded" && !this.more ? [{ kind: "start", key: this.number ? "start" : "start of nothing" }] : [];
    let day = "";
    let marked = false;
    /** @type {Line | Note | null} */
    let previous = null;
    for (const line of lines) {
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
