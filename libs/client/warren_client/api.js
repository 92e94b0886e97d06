// @ts-check
/** The gateway's HTTP API. Each call answers, or throws a RequestError with a sentence for the person. */

import { RequestError, ask } from "./http.js";

/** @typedef {{user: string, name: string, role?: string | null, muted?: string | null, banned?: string | null}} Entry */
/** @typedef {{until?: string | null, reason?: string | null}} Measure  `until` is RFC 3339; without it, for ever */
/** @typedef {{user: string, name: string, status: "online" | "away"}} Attendee */
/**
 * @typedef {{room: string, kind: string, title: string, head?: number, number?: number, read?: number, role?: string | null,
 *   archived?: boolean, muted?: string | null, peer?: {user: string, name: string} | null, hidden?: boolean, blocked?: boolean}} RoomInfo
 *   `muted` is in the details of one room alone; there `role` is null for who is no member.
 */
/** @typedef {import("./events.js").RoomEvent} RoomEvent */
/** @typedef {{gateway: () => string, tokens: import("./token.js").TokenSource, expired: () => void}} Owner  `expired`: the token was refused, and there is no other */

/** How often one request is made with another token, at most: one that was just fetched is not replaced anyway. */
const TRIES = 3;

export class Api {
  /** @param {Owner} owner */
  constructor(owner) {
    this.owner = owner;
  }

  /** Who one is. @returns {Promise<{id: string, name: string, limits: Record<string, number>, expires_in?: number}>} */
  me() {
    return this.#ask("GET", "/v1/me");
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** The rooms that one is a member of. @returns {Promise<RoomInfo[]>} */
  async rooms() {
    return (await this.#ask("GET", "/v1/rooms")).rooms;
  }

  /** @param {string} room @returns {Promise<RoomInfo & {head: number, member: boolean}>} */
  room(room) {
    return this.#ask("GET", path(room));
  }

  /** Public rooms by id, after one. @param {string} [after] @returns {Promise<{rooms: RoomInfo[], more: boolean}>} */
  directory(after = "") {
    return this.#ask("GET", `/v1/directory?${new URLSearchParams({ after })}`);
  }

  /** Without `room` it gets an id that can't be guessed. @param {{room?: string, kind?: "public" | "private", title?: string}} wanted @returns {Promise<RoomInfo>} */
  create(wanted) {
    return this.#ask("POST", "/v1/rooms", wanted);
  }

  /** The direct room with somebody; it is made if there is none. @param {string} user @returns {Promise<{room: string}>} */
  direct(user) {
    return this.#ask("POST", "/v1/direct", { user });
  }

  /** Leave the direct room with somebody out of one's list, until the next message in it. @param {string} user */
  hide(user) {
    return this.#ask("PUT", `/v1/direct/${encodeURIComponent(user)}/hidden`);
  }

  /** Have it in one's list again. @param {string} user */
  show(user) {
    return this.#ask("DELETE", `/v1/direct/${encodeURIComponent(user)}/hidden`);
  }

  /** @param {string} room @param {{title: string} | {archived: boolean}} change */
  change(room, change) {
    return this.#ask("PATCH", path(room), change);
  }

  /** A page of messages, newest last, and what else happened between them; `notes_cut`: not all of that, `events` has the rest. @param {string} room @param {number} [before] a seq @returns {Promise<{messages: RoomEvent[], notes: RoomEvent[], more: boolean, at?: number|null, notes_cut?: boolean}>} */
  history(room, before) {
    const query = new URLSearchParams({ limit: "50", notes: "true" });
    if (before !== undefined) query.set("before", String(before));
    return this.#ask("GET", `${path(room)}/messages?${query}`);
  }

  /** The log itself after a seq: all that happened, oldest first, as much as fits. @param {string} room @param {number} after @param {number} limit 500 at most @returns {Promise<{epoch: string, head: number, events: RoomEvent[]}>} */
  events(room, after, limit) {
    return this.#ask("GET", `${path(room)}/events?${new URLSearchParams({ after: String(after), limit: String(limit) })}`);
  }

  /** Who is there now; `people` is null in rooms that are too large for names. @param {string} room @returns {Promise<{online: number, away: number, people: Attendee[] | null}>} */
  presence(room) {
    return this.#ask("GET", `${path(room)}/presence`);
  }

  // --- people ---------------------------------------------------------------------------------------------------

  /** Whose id or name begins so. @param {string} prefix @returns {Promise<Entry[]>} */
  async people(prefix) {
    return (await this.#ask("GET", `/v1/people?${new URLSearchParams({ q: prefix })}`)).people;
  }

  /** Let somebody reach one no more; they are not told. @param {string} user */
  block(user) {
    return this.#ask("PUT", `/v1/people/${encodeURIComponent(user)}/block`);
  }

  /** @param {string} user */
  unblock(user) {
    return this.#ask("DELETE", `/v1/people/${encodeURIComponent(user)}/block`);
  }

  /** Whom one has blocked, by id, after one. @param {string} [after] @returns {Promise<{people: Entry[], more: boolean}>} */
  blocks(after = "") {
    return this.#ask("GET", `/v1/blocks?${new URLSearchParams({ after })}`);
  }

  /** Somebody who shares a room with one. @param {string} user @returns {Promise<{status: "online" | "away" | "offline", last_seen: string | null}>} */
  user(user) {
    return this.#ask("GET", `/v1/users/${encodeURIComponent(user)}`);
  }

  /** @param {string} room @param {"member" | "invited" | "banned"} state @param {string} after @returns {Promise<{members: Entry[], more: boolean, watched_by?: string[]}>} */
  members(room, state, after) {
    return this.#ask("GET", `${path(room)}/members?${new URLSearchParams({ state, after })}`);
  }

  /** Join, or accept an invitation. @param {string} room */
  join(room) {
    return this.#ask("PUT", path(room, "members", "me"));
  }

  /** Leave, or decline an invitation. @param {string} room @returns {Promise<{seq: number | null}>} */
  leave(room) {
    return this.#ask("DELETE", path(room, "members", "me"));
  }

  /** @param {string} room @param {string} user */
  invite(room, user) {
    return this.#ask("PUT", path(room, "members", user));
  }

  /** @param {string} room @param {string} user @param {string} role */
  setRole(room, user, role) {
    return this.#ask("PUT", path(room, "members", user), { role });
  }

  /** Remove a member, or take an invitation back. @param {string} room @param {string} user */
  remove(room, user) {
    return this.#ask("DELETE", path(room, "members", user));
  }

  /** @param {"bans" | "mutes"} what @param {string} room @param {string} user @param {Measure} measure */
  impose(what, room, user, measure) {
    return this.#ask("PUT", path(room, what, user), measure);
  }

  /** @param {"bans" | "mutes"} what @param {string} room @param {string} user */
  lift(what, room, user) {
    return this.#ask("DELETE", path(room, what, user));
  }

  // --- plumbing -------------------------------------------------------------------------------------------------

  /** Ask; if the token is refused, once more with another. @param {string} method @param {string} where @param {object} [body] @returns {Promise<any>} */
  async #ask(method, where, body) {
    const { gateway, tokens, expired } = this.owner;
    for (let tries = 1; ; tries += 1) {
      const token = await tokens.get().catch(() => noToken());
      try {
        const answer = await ask(gateway() + where, token, { method, body });
        tokens.accepted();
        return answer;
      } catch (error) {
        if (!(error instanceof RequestError) || error.status !== 401) throw error;
        if (tokens.refused(token) && tries < TRIES) continue;
        expired();
        throw error;
      }
    }
  }
}

/** @returns {never} */
function noToken() {
  throw new RequestError("One can't sign in just now.", 0);
}

/** The path of a room, or of something in it. @param {...string} parts */
function path(...parts) {
  return `/v1/rooms/${parts.map(encodeURIComponent).join("/")}`;
}
