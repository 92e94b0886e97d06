// @ts-check
/** From data to DOM nodes. Whatever a person wrote goes in as text, never as HTML. */

import { hueOf, initials } from "./timeline.js";

/** @typedef {import("./timeline.js").Row} Row */
/** @typedef {import("./timeline.js").Line} Line */
/** @typedef {import("./timeline.js").Note} Note */
/** @typedef {import("./timeline.js").Timeline} Timeline */

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
};
/** http and https alone; the last character can't be punctuation that ends the sentence around the link. */
const LINK = /\bhttps?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]/giu;
const FEW_EMOJI = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\u200d\ufe0f\p{Extended_Pictographic}]*\s*){1,3}$/u;

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

/** @param {string} at RFC 3339 */
function clock(at) {
  const moment = new Date(at);
  const short = moment.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  return el("time", { datetime: at, title: moment.toLocaleString() }, short);
}

/** @param {string} id @param {string} name */
function avatar(id, name) {
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
  const classes = ["row", mine ? "mine" : "", first ? "first" : "", last ? "last" : "", FEW_EMOJI.test(text) ? "jumbo" : ""];
  const node = el("div", {
    class: classes.filter(Boolean).join(" "),
    role: "article",
    "data-testid": "message",
    "data-seq": event.seq || "",
    "data-key": event.key,
    "data-sender": event.sender,
    "data-state": state,
  });
  const author = el("span", { class: "author", style: `--hue: ${hueOf(event.sender)}`, dir: "auto" }, event.name);
  if (mine) author.className = "unseen"; // for those who listen
  const body = el("div", { class: "text", dir: "auto", "data-testid": "text" }, ...linked(text));
  const bubble = el("div", { class: "bubble" }, body, el("span", { class: "meta" }, clock(event.at), mark(line)));
  if (first) bubble.prepend(mine ? el("span", { class: "unseen" }, "You") : author);
  node.append(mine ? "" : first ? avatar(event.sender, event.name) : el("span", { class: "avatar none" }), bubble);
  if (state === "failed") node.append(refusal(line));
  return node;
}

/** @param {Note} note */
function noteNode({ event }) {
  const what = event.type === "room.created" ? "opened this room" : "joined";
  const name = el("b", { dir: "auto" }, event.name);
  return el("div", { class: "note", "data-testid": "note", "data-seq": event.seq }, name, ` ${what}`);
}

/** @param {Row} row @param {Timeline} timeline */
export function rowNode(row, timeline) {
  switch (row.kind) {
    case "message": return messageNode(row);
    case "note": return noteNode(row);
    case "day": return el("div", { class: "day", role: "separator" }, el("span", {}, row.label));
    case "new": return el("div", { class: "new", role: "separator" }, el("span", {}, "New"));
    case "start": return startNode(timeline);
  }
}

/** @param {Timeline} timeline */
function startNode({ title, kind, number }) {
  const about = kind === "private" ? "Only its members can read it." : "Anybody signed in can read it and join.";
  const badge = el("span", { class: "badge-big" }, icon(kind === "private" ? "lock" : "hash"));
  return el("div", { class: "start" }, badge, el("h2", { dir: "auto" }, title), el("p", {}, `This is the beginning of the room. ${about}${number ? "" : " Be the first to say something."}`));
}

/** What a row shows, in short: an unchanged row keeps its node. @param {Row} row */
export function signature(row) {
  if (row.kind === "message") return [row.state, row.first, row.last, row.event.seq, row.event.at, row.event.text, row.reason].join(" ");
  return row.kind === "day" ? row.label : row.kind;
}

/** @param {Timeline} timeline @param {boolean} active */
export function roomNode({ room, title, kind, unread }, active) {
  const count = unread > 99 ? "99+" : String(unread);
  const badge = unread && !active ? el("span", { class: "count", "data-testid": "unread" }, count, el("span", { class: "unseen" }, " unread")) : "";
  const button = el(
    "button",
    { type: "button", class: unread && !active ? "room unread" : "room", "data-testid": "room-item", "data-room": room, "aria-current": active && "true" },
    icon(kind === "private" ? "lock" : "hash"),
    el("span", { class: "title", dir: "auto" }, title),
    badge,
  );
  return el("li", {}, button);
}
