// @ts-check
/** What people are called, by id: learned from what they do, asked for where an event has the id alone. */

import { Lookalikes } from "./lookalikes.js";

/** @typedef {import("./wording.js").Called} Called */

const LOOKUPS = 100;
/** After which somebody is asked about again, if nobody could say. */
const AGAIN_MS = 10_000;

export class Names {
  /** @type {Map<string, string>} */ #known = new Map();
  /** @type {Set<string>} */ #asked = new Set();
  /** Whose names look alike, of all whom this page has met: who seems to be somebody from another room is told, too. */ #people = new Lookalikes();

  /** @param {import("warren-client").GatewayApi} api @param {() => void} learned a name that was asked for is known now, or one does not tell any more who is meant */
  constructor(api, learned) {
    this.api = api;
    this.learned = learned;
  }

  /** @param {string} user @param {string | undefined} name */
  learn(user, name) {
    if (name) this.#known.set(user, name);
  }

  /** Somebody is in a room that one is in: others are to be told from them. @param {string} user @param {string | undefined} name */
  meet(user, name) {
    this.learn(user, name);
    if (name && this.#people.meet(user, name)) this.learned();
  }

  /** The name, or the id until it is known. @param {string} user @param {string} [given] the name that came with it */
  of(user, given) {
    const known = given || this.#known.get(user);
    if (!known && user) this.#ask(user);
    return known ?? user;
  }

  /** Somebody by name, with the id where that does not tell who is meant. Every name that is shown comes from here. @param {string} user @param {string} [given] the name that came with it @returns {Called} */
  called(user, given) {
    const name = this.of(user, given);
    if (this.#people.meet(user, name)) this.learned();
    return { name, id: this.#people.idOf(user, name) };
  }

  /** Once for each id, and for so many at most: a list of people has them, too. @param {string} user */
  async #ask(user) {
    if (this.#asked.has(user) || this.#asked.size >= LOOKUPS) return;
    this.#asked.add(user);
    const found = await this.api.people(user).catch(() => null);
    if (!found) return setTimeout(() => this.#asked.delete(user), AGAIN_MS);
    this.learn(user, found.find((one) => one.user === user)?.name);
    if (this.#known.has(user)) this.learned();
  }
}
