// @ts-check
/** Loads what was said before, page by page. */

/** @typedef {import("./timeline.js").Timeline} Timeline */

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
