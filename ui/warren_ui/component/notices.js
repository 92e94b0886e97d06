// @ts-check
/**
 * The cards that tell somebody what befell them: above the conversation, readable until they are dismissed. An invitation
 * stays until it is answered: nothing else leads into a private room.
 */

import { clock, el, icon, plain, worded } from "./draw.js";
import { momentText, noticeText, untilText } from "./wording.js";

/** @typedef {import("./inbox.js").Notice} Notice */
/** @typedef {import("./wording.js").NameOf} NameOf */
/** @typedef {import("./wording.js").TitleOf} TitleOf */
/** @typedef {import("./wording.js").Wording} Wording */

/** Those that one should not overlook. */
const GRAVE = ["member.removed", "member.banned", "member.muted"];

export class Notices {
  /** By number, with what changes of them. @type {Map<number, {node: HTMLElement, shown: string}>} */ #cards = new Map();
  /** What went wrong with an answer, by number. @type {Map<number, string>} */ #problems = new Map();

  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
  }

  /** Say beside the notice why it could not be done. @param {number} number @param {string} sentence */
  complain(number, sentence) {
    this.#problems.set(number, sentence);
  }

  /** @param {Notice[]} notices the last first @param {NameOf} nameOf @param {TitleOf} titleOf */
  draw(notices, nameOf, titleOf) {
    const before = this.#cards;
    this.#cards = new Map(notices.map((notice) => [notice.number, this.#card(notice, noticeText(notice, nameOf, titleOf), before.get(notice.number))]));
    const nodes = [...this.#cards.values()].map(({ node }) => node);
    const closable = notices.filter(isDismissible).length;
    if (closable > 1) nodes.push(this.#dismissAll(closable));
    const same = nodes.length === this.place.children.length && nodes.every((node, index) => node === this.place.children[index]);
    if (!same) this.place.replaceChildren(...nodes);
    this.place.hidden = false; // a live region that appears with its text would not be read out
  }

  /** @param {Notice} notice @param {Wording} words @param {{node: HTMLElement, shown: string} | undefined} drawn */
  #card(notice, words, drawn) {
    const problem = this.#problems.get(notice.number) ?? "";
    const shown = [problem, plain(words), momentText(new Date(notice.at)), untilText(notice.until)].join("\n"); // moments read otherwise tomorrow
    return drawn?.shown === shown ? drawn : { node: cardNode(notice, words, problem), shown };
  }

  #all = el("button", { type: "button", class: "link dismiss-all", "data-act": "dismiss-all", "data-testid": "dismiss-all" });

  /** @param {number} count */
  #dismissAll(count) {
    const label = `Dismiss all ${count}`;
    if (this.#all.textContent !== label) this.#all.textContent = label;
    return this.#all;
  }
}

/** @param {Notice} notice */
export function isDismissible({ what }) {
  return what !== "member.invited";
}

/** @param {Notice} notice @param {Wording} words @param {string} problem */
function cardNode(notice, words, problem) {
  const sentence = el("p", { class: "words" }, ...worded(words), " ", clock(notice.at, momentText));
  const text = el("div", { class: "said" }, sentence);
  if (notice.reason) text.append(el("p", { class: "why", dir: "auto" }, `Reason: ${notice.reason}`));
  if (problem) text.append(el("p", { class: "problem", role: "alert" }, problem));
  const close = act(notice, "dismiss", "", { class: "round", "aria-label": "Dismiss", title: "Dismiss" });
  close.append(icon("close"));
  const mood = GRAVE.includes(notice.what) ? "card grave" : "card";
  const attributes = { class: mood, "data-testid": "notice", "data-what": notice.what, "data-number": notice.number };
  const closable = problem || isDismissible(notice); // what could not be answered must not stay for ever
  return el("div", attributes, icon(glyph(notice)), text, el("div", { class: "answers" }, ...answers(notice)), closable ? close : "");
}

/** @param {Notice} notice @returns {"mute" | "alert" | "chat" | "people"} */
function glyph({ what, kind }) {
  if (what === "member.muted") return "mute";
  if (GRAVE.includes(what)) return "alert";
  return kind === "direct" ? "chat" : "people";
}

/** @param {Notice} notice */
function answers(notice) {
  if (notice.what === "member.invited") {
    return [act(notice, "accept", "Accept", { class: "button strong" }), act(notice, "decline", "Decline", { class: "button" })];
  }
  return notice.what === "room.created" ? [act(notice, "visit", "Open", { class: "button strong" })] : [];
}

/** @param {Notice} notice @param {string} what @param {string} label @param {Record<string, string>} attributes */
function act({ number }, what, label, attributes) {
  return el("button", { type: "button", "data-act": what, "data-key": number, "data-testid": what, ...attributes }, label);
}
