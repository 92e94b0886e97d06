// @ts-check
/**
 * What a transport is: it says the WebSocket's client frames to a gateway and hands over the WebSocket's server frames,
 * whatever it makes of them on the wire. It knows nothing of what they mean to anybody.
 */

/** @typedef {"websocket" | "sse" | "polling"} Kind */
/** @typedef {{type: "join", room: string, since?: number, epoch?: string}} Join */
/** @typedef {{rooms: number}} Limits */
/**
 * What it starts with. `joins`: what is to be followed now, and from where, for those that name the rooms when they open
 * a request; it is none of them if the limits are not known yet.
 * @typedef {{gateway: string, token: string, status: () => string, limits: () => Limits | null,
 *   joins: (limits: Limits) => Join[]}} Start
 */
/**
 * `frame` gets `welcome` first; `closed` is the last call, with the server's close code or one of these, and after how
 * many ms it wants us back.
 * @typedef {{frame: (frame: any) => void, closed: (code: number, afterMs: number) => void}} Receiver
 */
/**
 * `check`: give a sign of life soon or call `closed`; `close`: end it, without a call.
 * @typedef {{transmit: (frame: any) => void, check: () => void, close: () => void}} Transport
 */

/** It broke, or never began: nobody knows why. */
export const BROKEN = 1006;
/** It was open and nothing came through, not even signs of life. */
export const MUTE = 3001;
/** The server asks to come back later. */
export const BUSY = 4029;
/** The token is not, or no longer, good. */
export const TOKEN_REFUSED = 4503;
/** How long a sign of life may take when we have reason to doubt, in ms. */
export const CHECK_MS = 4_000;
const DEFAULT_PULSE_S = 15;
const LONGEST_PULSE_S = 600;

/** How often to expect or give a sign of life, in ms, by what the server says of it. @param {number} [seconds] */
export function pulseOf(seconds = DEFAULT_PULSE_S) {
  return Math.min(Math.max(1, seconds), LONGEST_PULSE_S) * 1_000;
}

/** A failed request, as the close code that says the same. @param {import("./http.js").RequestError} error @returns {[number, number]} and after how many ms */
export function verdictOf({ status, retryAfter }) {
  if (status === 401) return [TOKEN_REFUSED, 0];
  const isBusy = status === 429 || (status === 503 && retryAfter !== undefined);
  return isBusy ? [BUSY, (retryAfter ?? 1) * 1_000] : [BROKEN, 0];
}

/** How long to wait so that two things are so many ms apart. (The clock may have been set back.) @param {number} last when it was, in ms of the clock @param {number} apart */
export function untilApart(last, apart) {
  return Math.min(apart, last + apart - Date.now());
}
