// @ts-check
/** Who is in which room now, from the gateway's states, diffs and counts. No DOM, no network. */

/** @typedef {"online" | "away" | "offline"} Status */
/** @typedef {{user: string, name: string, status: Status}} Present */
/** @typedef {{online: number, away: number}} Count */
/**
 * What a frame says: exactly one of state, diff and count is there.
 * @typedef {{room: string, version: number, state?: Present[] | null, diff?: Present[] | null, count?: Count | null}} PresenceFrame
 */
/**
 * Who is in a room; it never changes, another takes its place. `people`: by id, null where there are too many for names.
 * @typedef {Count & {people: ReadonlyMap<string, Present> | null}} Here
 */
/** @typedef {{version: number, isCurrent: boolean, here: Here}} Known */

const STATUS_RANKS = { online: 0, away: 1, offline: 2 };

/** Online comes first. @param {Status | undefined} status */
export function rankOfStatus(status) {
  return STATUS_RANKS[status ?? "offline"];
}

export class Presence {
  /** @type {Map<string, Known>} */ #rooms = new Map();

  /**
   * `follows` is false for a diff upon something that we never had: nothing was done, the state has to come anew.
   * `gone`: who was here and is no more.
   * @param {PresenceFrame} frame @returns {{follows: boolean, gone: string[]}}
   */
  apply({ room, version, state, diff, count }) {
    const before = this.#rooms.get(room);
    const people = state ? peopleOf(new Map(), state) : diff ? diffed(before, version, diff) : null;
    if (!people && !count) return { follows: false, gone: [] };
    const here = count ? { people: null, online: count.online, away: count.away } : counted(people ?? new Map());
    this.#rooms.set(room, { version, isCurrent: true, here });
    const gone = count ? [] : [...(before?.here.people?.keys() ?? [])].filter((user) => !people?.has(user));
    return { follows: true, gone };
  }

  /** The connection is another: no diff follows on what we have. It is shown until the state comes. */
  outdate() {
    for (const known of this.#rooms.values()) known.isCurrent = false;
  }

  /** @param {string} room */
  forget(room) {
    this.#rooms.delete(room);
  }

  /** @param {string} room @returns {Here | undefined} undefined until it is known */
  here(room) {
    return this.#rooms.get(room)?.here;
  }

  /**
   * How somebody is, as their direct room or any other says it: not all devices follow all rooms.
   * @param {string} room @param {string} user @returns {Status | undefined} undefined if it is not known
   */
  status(room, user) {
    const found = [...this.#rooms.values()].map(({ here }) => here.people?.get(user)?.status).filter((status) => status !== undefined);
    const [best] = found.sort((a, b) => rankOfStatus(a) - rankOfStatus(b));
    return best ?? (this.here(room)?.people ? "offline" : undefined);
  }
}

/** Who is here after these changes. @param {Known | undefined} before @param {number} version @param {Present[]} diff */
function diffed(before, version, diff) {
  if (!before?.isCurrent || !before.here.people || version !== before.version + 1) return null;
  return peopleOf(new Map(before.here.people), diff);
}

/** @param {Map<string, Present>} people to be brought up to date @param {Present[]} changes */
function peopleOf(people, changes) {
  for (const one of changes) {
    if (one.status === "offline") people.delete(one.user);
    else people.set(one.user, one);
  }
  return people;
}

/** @param {ReadonlyMap<string, Present>} people @returns {Here} */
function counted(people) {
  const away = [...people.values()].filter(({ status }) => status === "away").length;
  return { people, online: people.size - away, away };
}
