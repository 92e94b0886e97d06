// @ts-check
/** Server-sent events out of bytes, as they come: chunks may end anywhere, also within a character or a line's end. */

/** @typedef {{event: string, data: string, id: string}} StreamEvent  `id`: the last one that was given */

/** An event of more characters is none of ours; it would fill the memory. */
const LONGEST = 16 * 1024 * 1024;

export class EventStreamParser {
  #decoder = new TextDecoder();
  /** The parts of a line that has not ended yet: joined once, so that a long line costs no more than it is long. @type {string[]} */ #line = [];
  #endedInReturn = false;
  #event = "";
  /** @type {string[]} */ #data = [];
  #id = "";
  #size = 0;

  /** The events that are complete with these bytes. Throws if one is too long. @param {Uint8Array} bytes @returns {StreamEvent[]} */
  push(bytes) {
    const [head, ...lines] = this.#decoded(bytes).split(/\r\n|\n|\r/);
    this.#line.push(head);
    /** @type {StreamEvent[]} */
    const events = [];
    for (const next of lines) {
      this.#take(this.#line.join(""), events);
      this.#line = [next];
    }
    if (lines.length && !this.#data.length) this.#size = this.#line[0].length;
    return events;
  }

  /** @param {Uint8Array} bytes */
  #decoded(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return "";
    const isOtherHalf = this.#endedInReturn && text.startsWith("\n");
    this.#endedInReturn = text.endsWith("\r");
    this.#size += text.length;
    if (this.#size > LONGEST) throw new Error("an event is too long");
    return isOtherHalf ? text.slice(1) : text;
  }

  /** @param {string} line @param {StreamEvent[]} events */
  #take(line, events) {
    if (line === "") return this.#dispatch(events);
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    if (field === "event") this.#event = value;
    if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  /** @param {StreamEvent[]} events */
  #dispatch(events) {
    if (this.#data.length) events.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
    [this.#event, this.#data] = ["", []];
  }
}
