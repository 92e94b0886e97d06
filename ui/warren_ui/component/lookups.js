// @ts-check
/** What one can look for: public rooms to join, people to speak with. No DOM but their faces. */

import { avatar, icon } from "./draw.js";
import { folded } from "./folding.js";

/** @typedef {import("./finder.js").Lookup} Lookup */
/** @typedef {import("warren-client").Entry} Entry */
/** @typedef {import("warren-client").RoomInfo} RoomInfo */
/** @typedef {import("warren-client").GatewayApi} GatewayApi */
/** @typedef {(room: string) => Promise<void>} Visit  opens a room that one is in */

/** So many can still be looked through. */
const LISTED_ROOMS = 1_000;
const LISTED_BLOCKS = 1_000;

/** The public rooms; the list is asked for once, and stays as it is. @param {GatewayApi} api @param {(room: string) => boolean} isMember @param {Visit} visit @returns {Lookup} */
export function roomLookup(api, isMember, visit) {
  /** @type {Promise<RoomInfo[]> | null} */ let listing = null;
  const find = async (/** @type {string} */ wanted) => {
    listing ??= allRooms(api).catch((error) => { listing = null; throw error; });
    const rooms = await listing;
    const sought = folded(wanted);
    const found = rooms.filter(({ room, title }) => folded(title).includes(sought) || room.includes(sought));
    return { found: found.map((info) => foundRoom(info, isMember(info.room))), said: saidOfRooms(rooms.length, found.length) };
  };
  const take = async (/** @type {string} */ room) => {
    if (!isMember(room)) await api.join(room);
    await visit(room);
  };
  return { title: "Browse rooms", placeholder: "Find a room", find, take };
}

/** Somebody who has signed in. @param {GatewayApi} api @param {() => string} me @param {Visit} visit @param {() => void} listBlocked @returns {Lookup} */
export function peopleLookup(api, me, visit, listBlocked) {
  const find = async (/** @type {string} */ wanted) => {
    if (!wanted) return { found: [], said: "Only the two of you can read it." };
    const people = (await api.people(wanted)).filter(({ user }) => user !== me());
    const found = people.map(({ user, name }) => ({ id: user, name, about: user, face: avatar(user, name), label: "Message", isNew: true }));
    return { found, said: found.length ? "" : "Nobody of that name has signed in yet." };
  };
  const take = async (/** @type {string} */ user) => visit((await api.direct(user)).room);
  return { title: "Message somebody", placeholder: "Name or id", find, take, more: { label: "Blocked people", open: listBlocked } };
}

/** Whom one has blocked, to let them reach one again. @param {GatewayApi} api @returns {Lookup} */
export function blockedLookup(api) {
  const find = async (/** @type {string} */ wanted) => {
    const people = await allBlocks(api);
    const sought = folded(wanted);
    const found = people.filter(({ user, name }) => folded(name).includes(sought) || folded(user).includes(sought));
    return { found: found.map(blockedPerson), said: saidOfBlocks(people.length, found.length) };
  };
  return { title: "Blocked people", placeholder: "Find somebody you blocked", find, take: (user) => api.unblock(user), stays: true };
}

/** @param {GatewayApi} api */
async function allBlocks(api) {
  /** @type {Entry[]} */ const people = [];
  for (let more = true; more && people.length < LISTED_BLOCKS; ) {
    const page = await api.blocks(people.at(-1)?.user);
    people.push(...page.people);
    more = page.more && page.people.length > 0;
  }
  return people.sort((a, b) => a.name.localeCompare(b.name) || a.user.localeCompare(b.user));
}

/** @param {Entry} entry */
function blockedPerson({ user, name }) {
  return { id: user, name, about: user, face: avatar(user, name), label: "Unblock", isNew: false };
}

/** @param {number} all @param {number} found */
function saidOfBlocks(all, found) {
  if (all === 0) return "You have blocked nobody.";
  return found === 0 ? "Nobody of that name is blocked." : "They can't write to you or invite you, and are not told.";
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
