// @ts-check
/** How long to wait before the next try. */

const BASE_MS = 500;
const CAP_MS = 15_000;
/** No server keeps a client waiting for longer: one that was wrong about it may be right by then. It is far from what timers can hold, too. */
const LONGEST_WAIT_MS = 10 * 60_000;

/** Full jitter: any delay up to the ceiling, so that a thousand clients do not come back at once. @param {number} attempt from 0 */
export function backoff(attempt) {
  return Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}

/** So long as a server wants us to wait, within reason. @param {number} ms */
export function reasonable(ms) {
  return Math.min(Math.max(0, ms), LONGEST_WAIT_MS);
}

/** About as long: what begins for many at once does not go on at once. @param {number} ms */
export function jittered(ms) {
  return ms * (0.75 + Math.random() / 2);
}
