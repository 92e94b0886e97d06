// @ts-check
/** What a client tells the page: types alone. */

/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./transport.js").Kind} Transport */
/** @typedef {{id: string, name: string}} Person */
/**
 * @typedef {{seq: number, type: string, number?: number, id: string, sender: string, name: string, key: string,
 *   at: string, text?: string, reply_to?: number, title?: string, kind?: string, user?: string, role?: string,
 *   until?: string, reason?: string, upto?: number}} RoomEvent
 */
/** @typedef {{user: string, name: string, status: "online" | "away" | "offline"}} Present */
/**
 * One of `state`, `diff` and `count`; a `diff` follows on the version before.
 * @typedef {{room: string, version: number, state?: Present[], diff?: Present[], count?: {online: number, away: number}}} PresenceFrame
 */
/**
 * What the events of a client carry as `detail`. A `fresh` join starts at the room's head: whoever shows history loads it
 * (again) then. `throttled`: what was said of typing in the room, or without one of the status, was too much.
 * @typedef {{
 *   state: {state: State, code: number, transport: Transport | null},
 *   welcome: {user: Person, limits: Record<string, number>},
 *   joined: {room: string, number: number, read: number, fresh: boolean},
 *   events: {room: string, events: RoomEvent[]},
 *   stored: {room: string, event: RoomEvent},
 *   outbox: {room: string},
 *   denied: {room: string, detail: string},
 *   left: {room: string, seq: number, because: string},
 *   unfollowed: {room: string},
 *   presence: PresenceFrame,
 *   typing: {room: string, user: string, name: string},
 *   partial: {room: string, user: string, name: string, key: string, text: string},
 *   throttled: {room?: string, seconds: number},
 *   expiring: {},
 * }} Events
 */

export {};
