// @ts-check
/** What happened, in words. No DOM: what people named or wrote stays apart from our own words, to be set as text. */

/** @typedef {import("warren-client").RoomEvent} RoomEvent */
/** @typedef {{name: string, id?: string}} Called  `id`: behind the name, where that does not tell who is meant */
/** @typedef {(user: string, name?: string) => Called} NameOf  `name`: the one that came with the event */
/** @typedef {(string | Called)[]} Wording */
/** @typedef {(titled: {room: string, title: string, peer?: string}) => Called} TitleOf */

const FOREVER_YEAR = 9999;
const ROLES = { owner: "an owner", moderator: "a moderator", member: "a member" };

/** A moment as people say it: with the date unless it is today, with the year unless it is this one. @param {Date} moment */
export function momentText(moment) {
  const now = new Date();
  const time = moment.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  if (moment.toDateString() === now.toDateString()) return time;
  const year = moment.getFullYear() === now.getFullYear() ? {} : /** @type {const} */ ({ year: "numeric" });
  return `${moment.toLocaleDateString([], { day: "numeric", month: "short", ...year })}, ${time}`;
}

/** An end in time as people say it; "" if there is none. @param {string | null | undefined} until RFC 3339 */
export function untilText(until) {
  const end = new Date(until ?? NaN);
  return Number.isNaN(end.getTime()) || end.getUTCFullYear() >= FOREVER_YEAR ? "" : `until ${momentText(end)}`;
}

/** @param {string | undefined} role */
export function roleText(role) {
  return /** @type {Record<string, string>} */ (ROLES)[role ?? ""] ?? String(role);
}

/** Who reads a room without being in it. @param {string[]} bots their user ids */
export function watchedText(bots) {
  return bots.length ? `Whoever runs this server lets ${bots.join(", ")} read every room, this one too.` : "";
}

/** @param {RoomEvent} event */
function measure({ until, reason }) {
  const end = untilText(until);
  return `${end && ` ${end}`}${reason ? `: ${reason}` : ""}`;
}

/**
 * The line in the timeline. `before`: the type of the event about the same person that came before it, if it is known.
 * @param {RoomEvent} event @param {string} me @param {NameOf} nameOf @param {string} [before] @returns {Wording}
 */
export function noteText(event, me, nameOf, before) {
  const who = (/** @type {string} */ user, /** @type {string} */ own, /** @type {string} */ name = "") => (user === me ? { name: own } : nameOf(user, name));
  const actor = who(event.sender, "You", event.name);
  const target = who(event.user ?? "", "you");
  const self = event.sender === event.user;
  switch (event.type) {
    case "room.created": return [actor, event.kind === "direct" ? " opened this conversation" : " opened this room"];
    case "room.renamed": return [actor, " renamed the room to ", { name: event.title ?? "" }];
    case "room.archived": return [actor, " archived the room"];
    case "room.restored": return [actor, " brought the room back"];
    case "member.joined": return [actor, " joined"];
    case "member.left": return [actor, before === "member.invited" ? " declined the invitation" : " left"];
    case "member.invited": return [actor, " invited ", target];
    case "member.removed": return before === "member.invited" ? [actor, " took back the invitation of ", target] : [actor, " removed ", target];
    case "member.banned": return [actor, " banned ", target, measure(event)];
    case "member.unbanned": return [actor, " lifted the ban on ", target];
    case "member.muted": return [actor, " muted ", target, measure(event)];
    case "member.unmuted": return [actor, " unmuted ", target];
    case "member.role": return self ? [actor, ` became ${roleText(event.role)}`] : [actor, " made ", target, ` ${roleText(event.role)}`];
    default: return [];
  }
}

/** What a notice says to the one it happened to. @param {import("./inbox.js").Notice} notice @param {NameOf} nameOf @param {TitleOf} titleOf @returns {Wording} */
export function noticeText({ sender, name, what, of_room, title, kind, until, role, revoked }, nameOf, titleOf) {
  const actor = nameOf(sender, name);
  const room = kind === "direct" ? "your conversation" : titleOf({ room: of_room, title });
  const end = untilText(until);
  switch (what) {
    case "member.invited": return [actor, " invites you to ", room];
    case "room.created": return [actor, " started a conversation with you"];
    case "member.removed": return revoked ? [actor, " took back the invitation to ", room] : [actor, " removed you from ", room];
    case "member.banned": return [actor, " banned you from ", room, end && ` ${end}`];
    case "member.unbanned": return [actor, " lifted your ban from ", room];
    case "member.muted": return [actor, " muted you in ", room, end && ` ${end}`];
    case "member.unmuted": return [actor, " unmuted you in ", room];
    case "member.role": return [actor, ` made you ${roleText(role)} of `, room];
    default: return [];
  }
}

/** Why one can't write in the room now; "" if one can. @param {import("./timeline.js").Timeline} timeline @param {string} reason of a mute */
export function holdText({ archived, muted, isBlocked }, reason) {
  if (isBlocked) return "You have blocked them: neither of you can write here.";
  if (archived) return "This room is archived: it can be read, and nothing new can be written.";
  if (!muted || muted.until <= Date.now()) return "";
  const end = Number.isFinite(muted.until) ? untilText(new Date(muted.until).toISOString()) : "";
  return `You are muted here${end && ` ${end}`}.${reason ? ` Reason: ${reason}` : ""}`;
}

export const STATUS_TEXT = { online: "Online", away: "Away", offline: "Offline" };

/** How many are in a room. @param {import("./presence.js").Here} here */
export function hereText({ people, online, away }) {
  return people ? `${online + away} here` : countsText({ online, away });
}

/** @param {import("./presence.js").Count} count */
export function countsText({ online, away }) {
  return `${online.toLocaleString()} online${away ? `, ${away.toLocaleString()} away` : ""}`;
}

/** @param {Called[]} people who are typing @returns {Wording} */
export function typingText(people) {
  const [first, second] = people;
  if (people.length > 2) return [`${people.length} people are typing`];
  return second ? [first, " and ", second, " are typing"] : first ? [first, " is typing"] : [];
}

/** How somebody is; `seen`: when they were last there, RFC 3339. @param {import("./presencesync.js").Peer} peer */
export function peerText({ status, seen }) {
  return seen ? `Last seen ${agoText(Date.parse(seen), Date.now())}` : STATUS_TEXT[status];
}

/** @param {number} at in ms @param {number} now in ms */
function agoText(at, now) {
  const minutes = Math.floor((now - at) / 60_000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (minutes < 1) return "just now";
  if (minutes < 60) return words.format(-minutes, "minute");
  if (minutes < 24 * 60) return words.format(-Math.floor(minutes / 60), "hour");
  if (minutes < 7 * 24 * 60) return words.format(-Math.floor(minutes / (24 * 60)), "day");
  return `on ${new Date(at).toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}`;
}

/** What stands in the place of a room that one is no longer in. @param {Called} room @param {string} because @returns {Wording} */
export function goneText(room, because) {
  if (because === "member.left") return ["You left ", room, "."];
  if (because === "direct.hidden") return ["Your conversation with ", room, " is hidden until one of you writes in it."];
  if (because === "member.banned") return ["You are banned from ", room, "."];
  return ["You are no longer in ", room, "."];
}

/** A name where nothing but text can stand. @param {Called} called */
export function calledText({ name, id }) {
  return id ? `${name} (${id})` : name;
}
