// @ts-check
/** What the page offers to whom. The server decides; this only keeps it from offering what would be refused. */

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("warren-client").Entry} Entry */
/** @typedef {"talk" | "mute" | "unmute" | "remove" | "ban" | "role-owner" | "role-moderator" | "role-member"} Deed */

const RANKS = { member: 1, moderator: 2, owner: 3 };

/** @param {string | null | undefined} role */
function rankOf(role) {
  return /** @type {Record<string, number>} */ (RANKS)[role ?? ""] ?? 0;
}

/** What one may do in the room as a whole. @param {Timeline} timeline */
export function roomRights({ kind, role, archived, isBlocked }) {
  const group = kind !== "direct";
  const rank = rankOf(role);
  return {
    rename: group && !archived && rank >= RANKS.moderator,
    invite: group && !archived && rank >= (kind === "public" ? RANKS.member : RANKS.moderator),
    moderate: group && rank >= RANKS.moderator,
    archive: group && rank >= RANKS.owner,
    leave: group && rank >= RANKS.member,
    hide: !group,
    block: !group && !isBlocked,
    unblock: !group && isBlocked,
  };
}

/** What one may do about a member: upon those below oneself; in a direct room each may mute the other. @param {Timeline} timeline @param {Entry} entry @param {string} me @returns {Deed[]} */
export function memberActions(timeline, { user, role, muted }, me) {
  if (user === me) return [];
  /** @type {Deed} */
  const mute = isOver(muted) ? "mute" : "unmute";
  if (timeline.kind === "direct") return [mute];
  const [mine, theirs] = [rankOf(timeline.role), rankOf(role)];
  if (mine < RANKS.moderator || theirs >= mine || theirs === 0) return ["talk"];
  if (timeline.archived) return ["talk", "remove", "ban"];
  return ["talk", ...(mine >= RANKS.owner ? roles(role) : []), mute, "remove", "ban"];
}

/** @param {string | null | undefined} role @returns {Deed[]} */
function roles(role) {
  return role === "moderator" ? ["role-member", "role-owner"] : ["role-moderator", "role-owner"];
}

/** Whether a ban or mute until then holds no more. @param {string | null | undefined} until */
export function isOver(until) {
  return !until || Date.parse(until) <= Date.now();
}
