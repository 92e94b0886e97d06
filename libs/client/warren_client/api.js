// @ts-check
/** The gateway's HTTP API, as far as the chat needs it. Each call answers, or throws a RequestError with a sentence. */

/** @typedef {{user: string, name: string, role?: string | null, muted?: string | null, banned?: string | null}} Entry */
/** @typedef {{until: string | null, reason: string | null}} Measure */
/**
 * @typedef {{room: string, kind: string, title: string, head?: number, number?: number, read?: number, role?: string | null,
 *   archived?: boolean, muted?: string | null, peer?: {user: string, name: string} | null}} RoomInfo
 *   `muted` is in the details of one room alone; there `role` is null for who is no member.
 */

export const REQUEST_TIMEOUT_MS = 15_000;

/** A failed HTTP request, with a sentence for the person. */
export class RequestError extends Error {
  /** @param {string} detail @param {number} status 0 if there was no answer */
  constructor(detail, status) {
    super(detail);
    this.status = status;
  }
}

export class Api {
  /** @param {{gateway: () => string, token: () => string, expired: () => void}} owner `expired`: the token was refused */
  constructor(owner) {
    this.owner = owner;
  }

  /** The rooms that one is a member of. @returns {Promise<RoomInfo[]>} */
  async rooms() {
    return (await this.#ask("GET", "/v1/rooms")).rooms;
  }

  /** @param {string} room @returns {Promise<RoomInfo & {head: number, member: boolean}>} */
  room(room) {
    return this.#ask("GET", path(room));
  }

  /** A page of messages, newest last, and what else happened between them. @param {string} room @param {number} [before] @returns {Promise<{messages: any[], notes: any[], more: boolean}>} */
  history(room, before) {
    const query = new URLSearchParams({ limit: "50", notes: "true" });
    if (before !== undefined) query.set("before", String(before));
    return this.#ask("GET", `${path(room)}/messages?${query}`);
  }

  /** @param {string} room @param {"member" | "invited" | "banned"} state @param {string} after @returns {Promise<{members: Entry[], more: boolean}>} */
  members(room, state, after) {
    return this.#ask("GET", `${path(room)}/members?${new URLSearchParams({ state, after })}`);
  }

  /** Whose id or name begins so. @param {string} prefix @returns {Promise<Entry[]>} */
  async people(prefix) {
    return (await this.#ask("GET", `/v1/people?${new URLSearchParams({ q: prefix })}`)).people;
  }

  /** Somebody who shares a room with one. @param {string} user @returns {Promise<{status: "online" | "away" | "offline", last_seen: string | null}>} */
  user(user) {
    return this.#ask("GET", `/v1/users/${encodeURIComponent(user)}`);
  }

  /** The direct room with somebody; it is made if there is none. @param {string} user @returns {Promise<{room: string}>} */
  direct(user) {
    return this.#ask("POST", "/v1/direct", { user });
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

  /** @param {string} room @param {{title: string} | {archived: boolean}} change */
  change(room, change) {
    return this.#ask("PATCH", path(room), change);
  }

  /** @param {string} method @param {string} where @param {object} [body] @returns {Promise<any>} */
  async #ask(method, where, body) {
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${this.owner.token()}`, ...(body ? { "Content-Type": "application/json" } : {}) };
    let response;
    try {
      const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
      response = await fetch(this.owner.gateway() + where, { method, headers, signal, body: body && JSON.stringify(body) });
    } catch {
      throw new RequestError("The server can't be reached just now.", 0);
    }
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401) this.owner.expired();
    if (!response.ok) throw new RequestError(sentence(answer.detail ?? `the server answered ${response.status}`), response.status);
    return answer;
  }
}

/** The path of a room, or of something in it. @param {...string} parts */
function path(...parts) {
  return `/v1/rooms/${parts.map(encodeURIComponent).join("/")}`;
}

/** What the server says, as a sentence. @param {string} detail */
export function sentence(detail) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
