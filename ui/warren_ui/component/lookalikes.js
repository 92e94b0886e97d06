// @ts-check
/** Whose names a reader cannot tell apart (Unicode's UTS #39, and case). No DOM, no network. */

import { CONFUSABLES } from "./confusables.js";

/** Looks that are kept; somebody whose look is not among them is shown with the id. */
const LOOKS = 20_000;
/** Names whose looks are remembered. */
const REMEMBERED = 5_000;

/** @type {Map<string, string>} */
const prototypes = new Map(Object.entries(CONFUSABLES).flatMap(([prototype, like]) => [...like].map((char) => [char, prototype])));
/** @type {Map<string, string[]>} */
const remembered = new Map();

/** What is drawn like `text`, and nothing else is. @param {string} text */
function skeletonOf(text) {
  return decomposed([...decomposed(text)].map((char) => prototypes.get(char) ?? char).join(""));
}

/** Letters and marks for themselves, in one width and font, without what is not seen. @param {string} text */
function decomposed(text) {
  return text.normalize("NFKD").replace(/\p{Default_Ignorable_Code_Point}/gu, "");
}

/** Capitals look like other letters than small ones: case goes last once (AIice, Alice), first once (IAN, ian). @param {string} name */
function looksOf(name) {
  return [...new Set([skeletonOf(name).toLowerCase(), skeletonOf(decomposed(name).toLowerCase())])];
}

/** What names look like; two that a reader cannot tell apart have one in common. @param {string} name */
export function looks(name) {
  const known = remembered.get(name);
  if (known) return known;
  if (remembered.size >= REMEMBERED) remembered.clear();
  const found = looksOf(name);
  remembered.set(name, found);
  return found;
}

/** People, or rooms, as far as they were met. */
export class Lookalikes {
  /** Whose look it is, "" if it is several people's. @type {Map<string, string>} */ #owners = new Map();

  /** Whether somebody known cannot be told by their name any more. @param {string} user @param {string} name */
  meet(user, name) {
    let isNews = false;
    for (const look of looks(name)) {
      const owner = this.#owners.get(look);
      if (owner === undefined && this.#owners.size >= LOOKS) continue;
      this.#owners.set(look, owner === undefined || owner === user ? user : "");
      isNews ||= Boolean(owner) && owner !== user;
    }
    return isNews;
  }

  /** The id, if the name does not tell who is meant, else "". @param {string} user @param {string} name */
  idOf(user, name) {
    const isTold = name === user || looks(name).every((look) => this.#owners.get(look) === user);
    return isTold ? "" : user;
  }
}
