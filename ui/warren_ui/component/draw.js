// @ts-check
/** From data to DOM nodes. Whatever a person wrote goes in as text, never as HTML. */

import { isFewEmoji } from "./emoji.js";
import { hueOf, initials } from "./timeline.js";

/** @typedef {import("./timeline.js").Row} Row */
/** @typedef {import("./timeline.js").Line} Line */
/** @typedef {import("./timeline.js").Note} Note */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./wording.js").Called} Called */

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  send: "M4 12 20 4l-4 16-4-6-8-2Zm8 2 8-10",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  tick: "m5 13 4 4L19 7",
  alert: "M12 8v5m0 3.5v.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  down: "M12 5v14m-6-6 6 6 6-6",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4 4",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5 11h14v9H5Z",
  hash: "M9 4 7 20M17 4l-2 16M4 9h16M3 15h16",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4.5 20a7.5 7.5 0 0 1 15 0",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM2.5 20a6.5 6.5 0 0 1 13 0M16 5.5a3.5 3.5 0 0 1 0 6.5m2 2.5a6.5 6.5 0 0 1 3.5 5.5",
  chat: "M4 5h16v11H10l-5 4v-4H4Z",
  close: "m6 6 12 12M18 6 6 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  archive: "M4 5h16v4H4Zm1.5 4v10h13V9M10 13h4",
  block: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM5.6 5.6l12.8 12.8",
  mute: "M5 10v4h3l4 4V6L8 10Zm11 0 5 5m0-5-5 5",
};
/** http and https alone; the last character can't be punctuation that ends the sentence around the link. */
const LINK = /\bhttps?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]/giu;

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, string | boolean | number>} [attributes] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

/** A field in which one looks for something. (One of the type "search" has a cross of its own, beside the one that closes.) @param {Record<string, string | number>} attributes */
export function searchField(attributes) {
  return el("input", { type: "text", role: "searchbox", enterkeyhint: "search", ...attributes });
}

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Text with its links made clickable. @param {string} text @returns {(Node | string)[]} */
function linked(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(end, match.index));
    parts.push(el("a", { href: match[0], target: "_blank", rel: "noopener noreferrer nofollow" }, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

/** @param {Date} moment */
function timeText(moment) {
  return moment.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** @param {string} at RFC 3339 @param {(moment: Date) => string} [textOf] the time alone where the day stands beside it */
export function clock(at, textOf = timeText) {
  const moment = new Date(at);
  return el("time", { datetime: at, title: moment.toLocaleString() }, textOf(moment));
}

/** @param {string} id @param {string} name */
export function avatar(id, name) {
  return el("span", { class: "avatar", style: `--hue: ${hueOf(id)}`, "aria-hidden": "true" }, initials(name));
}

/** @param {Line} line */
function mark(line) {
  if (!line.mine) return "";
  const [name, label] = /** @type {const} */ ({
    pending: ["clock", "Not stored yet"],
    stored: ["tick", "Stored"],
    failed: ["alert", "Not sent"],
  })[line.state];
  return el("span", { class: "mark", role: "img", "aria-label": label, title: label }, icon(name));
}

/** @param {Line} line */
function refusal(line) {
  const act = (/** @type {string} */ name, /** @type {string} */ label) =>
    el("button", { type: "button", class: "link", "data-act": name, "data-key": line.event.key, "data-testid": name }, label);
  return el("div", { class: "refusal", role: "alert" }, `Not sent: ${line.reason} `, act("retry", "Retry"), " ", act("discard", "Discard"));
}

/** @param {Line} line */
function messageNode(line) {
  const { event, mine, first, last, state } = line;
  const text = event.text ?? "";
  const classes = ["row", mine ? "mine" : "", first ? "first" : "", last ? "last" : "", isFewEmoji(text) ? "jumbo" : ""];
  const node = el("div", {
    class: classes.filter(Boolean).join(" "),
    role: "article",
    "data-testid": "message",
    "data-seq": event.seq || "",
    "data-key": event.key,
    "data-sender": event.sender,
    "data-state": state,
  });
  const hue = `--hue: ${hueOf(event.sender)}`;
  const author = el("button", { type: "button", class: "author", style: hue, dir: "auto", "data-act": "person", "data-key": event.sender }, ...named(event.name, line.id));
  const body = el("div", { class: "text", dir: "auto", "data-testid": "text" }, ...linked(text));
  const bubble = el("div", { class: "bubble" }, body, el("span", { class: "meta" }, clock(event.at), mark(line)));
  if (first) bubble.prepend(mine ? el("span", { class: "unseen" }, "You") : author);
  node.append(mine ? "" : first ? avatar(event.sender, event.name) : el("span", { class: "avatar none" }), bubble);
  if (state === "failed") node.append(refusal(line));
  return node;
}

/** @param {Note} note */
function noteNode({ event, words }) {
  return el("div", { class: "note", "data-testid": "note", "data-type": event.type, "data-seq": event.seq }, ...worded(words));
}

/** @param {import("./timeline.js").Cut} cut */
function cutNode({ after, problem }) {
  const button = el("button", { type: "button", class: "button", "data-act": "fill", "data-key": after, "data-testid": "fill" }, "Show more");
  const said = problem ? el("p", { class: "problem", role: "alert" }, problem) : "";
  return el("div", { class: "cut", "data-testid": "cut" }, el("p", {}, "Not all that happened before this is shown."), said, button);
}

/** A name, and behind it the id, if there is one to tell. @param {string | Node} name @param {string} [id] */
export function named(name, id) {
  return id ? [name, " ", el("span", { class: "id", dir: "ltr" }, id)] : [name];
}

/** Words with the names in them set off. @param {import("./wording.js").Wording} words */
export function worded(words) {
  return words.flatMap((part) => (typeof part === "string" ? [part] : named(el("b", { dir: "auto" }, part.name), part.id)));
}

/** The same as text. @param {import("./wording.js").Wording} words */
export function plain(words) {
  return words.map((part) => (typeof part === "string" ? part : `${part.name} ${part.id ?? ""}`)).join("");
}

/** Make these a list's children, moving none that stands right. @param {HTMLElement} list @param {Set<HTMLElement>} nodes */
export function place(list, nodes) {
  for (const child of [...list.children]) {
    if (!nodes.has(/** @type {HTMLElement} */ (child))) child.remove();
  }
  let next = list.firstElementChild;
  for (const node of nodes) {
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
  }
}

/** @param {Row} row @param {Timeline} timeline @param {Called} room how it is called */
export function rowNode(row, timeline, room) {
  switch (row.kind) {
    case "message": return messageNode(row);
    case "note": return noteNode(row);
    case "day": return el("div", { class: "day", role: "separator" }, el("span", {}, row.label));
    case "new": return el("div", { class: "new", role: "separator" }, el("span", {}, "New"));
    case "cut": return cutNode(row.cut);
    case "start": return startNode(timeline, room);
  }
}

/** What kind of room it is, at a glance. @param {Timeline} timeline */
export function roomIcon({ kind, archived, isBlocked }) {
  if (isBlocked) return icon("block");
  if (archived) return icon("archive");
  return icon(kind === "direct" ? "person" : kind === "private" ? "lock" : "hash");
}

const READERS = /** @type {Record<string, string>} */ ({
  direct: "Only the two of you can read it.",
  private: "Only its members can read it.",
});

/** @param {Timeline} timeline @param {Called} called */
function startNode(timeline, called) {
  const { kind, number, archived } = timeline;
  const about = READERS[kind] ?? "Anybody signed in can read it and join.";
  const first = number || archived ? "" : " Be the first to say something.";
  const what = kind === "direct" ? "conversation" : "room";
  const badge = el("span", { class: "badge-big" }, roomIcon(timeline));
  return el("div", { class: "start" }, badge, el("h2", { dir: "auto" }, ...named(called.name, called.id)), el("p", {}, `This is the beginning of the ${what}. ${about}${first}`));
}

/** What a row shows, in short: an unchanged row keeps its node. @param {Row} row @param {Timeline} timeline @param {Called} room */
export function signature(row, timeline, room) {
  if (row.kind === "message") return [row.state, row.first, row.last, row.event.seq, row.event.at, row.event.text, row.reason, row.id].join(" ");
  if (row.kind === "note") return plain(row.words);
  if (row.kind === "start") return [room.name, room.id, timeline.archived].join(" ");
  if (row.kind === "cut") return row.cut.problem;
  return row.kind === "day" ? row.label : row.kind;
}
