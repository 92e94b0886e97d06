// @ts-check
/** Loads what was said before, page by page. */

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** Events that are read at once of what a page of history has not. */
const LOG_PAGE = 200;

export class History {
  /** @param {import("warren-client").WarrenClient} client @param {() => void} draw something has changed */
  constructor(client, draw) {
    this.client = client;
    this.draw = draw;
  }

  /** The newest page. Only of a room that is joined: what comes later is live, so there is no gap between. @param {Timeline | undefined} timeline */
  async load(timeline) {
    if (!timeline || timeline.history === "loading" || !this.client.isJoined(timeline.room)) return;
    const again = timeline.history === "failed";
    timeline.history = "loading";
    try {
      if (again) this.draw();
    } finally {
      await this.#fetchPage(timeline); // whatever else fails: what is loading is asked for by nobody else
      timeline.trim();
      this.draw();
    }
  }

  /** @param {Timeline | undefined} timeline */
  async older(timeline) {
    if (!timeline || timeline.history !== "loaded" || !timeline.more || timeline.loadingOlder) return;
    timeline.loadingOlder = true;
    try {
      timeline.addPage(await this.client.history(timeline.room, timeline.oldest));
    } catch {
      // the next scroll tries again
    } finally {
      timeline.loadingOlder = false;
    }
    this.draw();
  }

  /** More of what happened in between. @param {Timeline | undefined} timeline @param {number} after the seq that it happened after */
  async fill(timeline, after) {
    const cut = timeline?.cuts.find((one) => one.after === after);
    if (!timeline || !cut || cut.isLoading) return;
    Object.assign(cut, { isLoading: true, problem: "" });
    try {
      const from = Math.max(after, cut.before - 1 - LOG_PAGE);
      const events = await this.#between(timeline.room, from, cut.before);
      if (timeline.cuts.includes(cut)) timeline.fill(cut, events, from); // else it was reset meanwhile
    } catch (error) {
      cut.problem = /** @type {Error} */ (error).message;
    } finally {
      cut.isLoading = false;
    }
    this.draw();
  }

  /** The log between two seqs: an answer has as much of it as its size allows. @param {string} room @param {number} after @param {number} before */
  async #between(room, after, before) {
    const events = [];
    for (let last = after; last < before - 1; last = events[events.length - 1].seq) {
      const page = await this.client.api.events(room, last, before - 1 - last);
      if (page.events.length === 0) throw new Error("The log has come to an end too early.");
      events.push(...page.events);
    }
    return events;
  }

  /** @param {Timeline} timeline */
  async #fetchPage(timeline) {
    try {
      const page = await this.client.history(timeline.room);
      if (timeline.history !== "loading") return; // reset meanwhile: this page is of another epoch
      timeline.addPage(page);
      timeline.history = "loaded";
    } catch (error) {
      timeline.history = "failed";
      timeline.problem = /** @type {Error} */ (error).message;
    }
  }
}
