// @ts-check
/** A room's newest messages as a list that keeps itself up to date, for pages that want nothing more. */

import { backoff } from "./backoff.js";

/** @typedef {import("./events.js").RoomEvent} RoomEvent */

/** Messages that are kept, the newest. */
const KEPT_MESSAGES = 500;

/**
 * Call `show` with the room's messages, oldest first, whenever they are others. What happens while history is loaded waits
 * for it, and a room that starts anew (`fresh`) is loaded again.
 * @param {import("./client.js").WarrenClient} client @param {string} room @param {(messages: RoomEvent[]) => void} show
 * @returns {() => void} ends it
 */
export function watch(client, room, show) {
  /** @type {RoomEvent[]} */ let messages = [];
  /** The load of history that counts; false if it came to nothing. @type {Promise<boolean>} */ let loading = Promise.resolve(false);
  const listeners = new AbortController();
  const { signal } = listeners;

  const keep = (/** @type {RoomEvent[]} */ next) => {
    messages = next.filter(({ type }) => type === "message").slice(-KEPT_MESSAGES);
    show(messages);
  };
  const load = async () => {
    for (let tries = 0; !signal.aborted && client.state !== "stopped"; tries += 1) {
      try {
        keep((await client.history(room)).messages);
        return true;
      } catch (error) {
        if (!(/** @type {any} */ (error).temporary)) return false;
        await new Promise((resolve) => setTimeout(resolve, backoff(tries)));
      }
    }
    return false;
  };
  client.addEventListener("joined", ({ detail }) => { if (detail.room === room && detail.fresh) loading = load(); }, { signal });
  client.addEventListener("events", async ({ detail }) => {
    const mine = loading;
    if (detail.room !== room || !(await mine) || mine !== loading) return; // another load has these, too
    const last = messages.at(-1)?.seq ?? 0;
    const news = detail.events.filter(({ seq }) => seq > last);
    if (news.length) keep([...messages, ...news]);
  }, { signal });
  return () => listeners.abort();
}
