// @ts-check
/** What one can look for: public rooms to join, people to speak with. No DOM but their faces. */

import { avatar, icon } from "./draw.js";

/** @typedef {import("./finder.js").Quest} Quest */
/** @typedef {import("warren-client").RoomInfo} RoomInfo */
/** @typedef {import("warren-client").GatewayApi} GatewayApi */
/** @typedef {(room: string) => Promise<void>} Visit  opens a room that one is in */

/** So many can still be looked through. */
const LISTED_ROOMS = 1_000;

/** As people type it: without cases and accents. @param {string} text */
function plainly(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The public rooms; the list is asked for once, and stays as it is. @param {GatewayApi} api @param {(room: string) => boolean} isMember @param {Visit} visit @returns {Quest} */
export function roomQuest(api, isMember, visit) {
  /** @type {Promise<RoomInfo[]> | null} */ let listing = null;
  const find = async (/** @type {string} */ wanted) => {
    listing ??= allRooms(api).catch((error) => { listing = null; throw error; });
    const rooms = await listing;
    const sought = plainly(wanted);
    const found = rooms.filter(({ room, title }) => plainly(title).includes(sought) || room.includes(sought));
    return { found: found.map((info) => foundRoom(info, isMember(info.room))), said: saidOfRooms(rooms.length, found.length) };
  };
  const take = async (/** @type {string} */ room) => {
    if (!isMember(room)) await api.join(room);
    await visit(room);
  };
  return { title: "Browse rooms", placeholder: "Find a room", find, take };
}

/** Somebody who has signed in. @param {GatewayApi} api @param {() => string} me @param {Visit} visit @returns {Quest} */
export function peopleQuest(api, me, visit) {
  const find = async (/** @type {string} */ wanted) => {
    if (!wanted) return { found: [], said: "Only the two of you can read it." };
    const people = (await api.people(wanted)).filter(({ user }) => user !== me());
    const found = people.map(({ user, name }) => ({ id: user, name, about: user, face: avatar(user, name), label: "Message", isNew: true }));
    return { found, said: found.length ? "" : "Nobody of that name has signed in yet." };
  };
  const take = async (/** @type {string} */ user) => visit((await api.direct(user)).room);
  return { title: "Message somebody", placeholder: "Name or id", find, take };
}

/** @param {GatewayApi} api */
async function allRooms(api) {
  /** @type {RoomInfo[]} */ const rooms = [];
  for (let more = true; more && rooms.length < LISTED_ROOMS; ) {
    const page = await api.directory(rooms.at(-1)?.room);
    rooms.push(...page.rooms);
    more = page.more && page.rooms.length > 0;
  }
  return rooms.sort((a, b) => a.title.localeCompare(b.title) || a.room.localeCompare(b.room));
}

/** @param {RoomInfo} info @param {boolean} isMember */
function foundRoom({ room, title }, isMember) {
  return { id: room, name: title, about: room, face: icon("hash"), label: isMember ? "Open" : "Join", isNew: !isMember };
}

/** @param {number} all @param {number} found */
function saidOfRooms(all, found) {
  if (all === 0) return "There is no public room yet. Open the first one.";
  return found === 0 ? "No public room of that name." : found === 1 ? "1 room" : `${found} rooms`;
}
