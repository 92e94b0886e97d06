// @ts-check
/** The rows of the room panel: members, those invited or banned, those found by a search. */

import { dotNode, showStatus } from "./dot.js";
import { avatar, el, icon, place } from "./draw.js";
import { ACTIONS, measureForm } from "./measures.js";
import { isOver } from "./rights.js";
import { STATUS_TEXT, untilText } from "./wording.js";

/** @typedef {import("warren-client").Entry} Entry */

const ROLE_TAGS = /** @type {Record<string, string>} */ ({ owner: "Owner", moderator: "Moderator" });

/** Nodes by key, with what they were made of: an unchanged row keeps its node, and so what is typed in it. @type {WeakMap<HTMLElement, Map<string, {node: HTMLElement, signature: string}>>} */
const drawnRows = new WeakMap();

/**
 * Bring a list to these rows.
 * @template T
 * @param {HTMLElement} list @param {T[]} rows @param {(row: T) => string} key @param {(row: T) => string} signatureOf
 * @param {(row: T) => HTMLElement} build
 */
export function drawRows(list, rows, key, signatureOf, build) {
  const before = drawnRows.get(list) ?? new Map();
  const now = new Map();
  for (const row of rows) {
    const old = before.get(key(row));
    const wanted = signatureOf(row);
    now.set(key(row), old?.signature === wanted ? old : { node: build(row), signature: wanted });
  }
  drawnRows.set(list, now);
  const root = /** @type {ShadowRoot} */ (list.getRootNode());
  const focused = root.activeElement;
  place(list, new Set([...now.values()].map(({ node }) => node)));
  if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true }); // it may have been moved
}

/** @param {Entry} entry @param {...(Node | string)} tags */
function who({ user, name }, ...tags) {
  const state = el("span", { class: "state", "data-testid": "state" });
  const names = el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, name), el("span", { class: "id", title: user }, state, user));
  return [el("span", { class: "face" }, avatar(user, name), dotNode({ told: true })), names, ...tags];
}

/** Show on a row how somebody is, in place. @param {HTMLElement} row @param {import("./presence.js").Status | undefined} status */
export function showState(row, status) {
  row.dataset.status = status ?? "";
  showStatus(/** @type {HTMLElement} */ (row.querySelector(".dot")), status);
  const text = status ? `${STATUS_TEXT[status]} · ` : "";
  const state = /** @type {HTMLElement} */ (row.querySelector(".state"));
  if (state.textContent !== text) state.textContent = text;
}

/** @param {string} text */
function tag(text) {
  return el("span", { class: "tag" }, text);
}

/**
 * A member, and below what one may do about them, if they are the one selected.
 * @param {Entry} entry @param {string} spoken the name, with the id if it takes that @param {boolean} mine @param {string[]} memberActions @param {boolean} selected @param {string} form the action that is about to be done
 * @param {boolean} inside whether they are in the room, if there is no role to tell
 */
export function memberRow(entry, spoken, mine, memberActions, selected, form, inside) {
  const { user, role, muted } = entry;
  const tags = [];
  if (mine) tags.push(tag("You"));
  if (ROLE_TAGS[role ?? ""]) tags.push(tag(ROLE_TAGS[role ?? ""]));
  if (!role && !inside) tags.push(tag("Not in this room"));
  if (!isOver(muted)) tags.push(el("span", { class: "tag bad", title: untilText(muted) || "without an end" }, "Muted"));
  const more = el("button", { type: "button", class: "round", "data-do": "select", "data-user": user, "aria-expanded": String(selected), "aria-label": `Actions for ${spoken}`, title: "Actions", "data-testid": "actions" }, icon("more"));
  const line = el("div", { class: "line" }, ...who(entry, ...tags), memberActions.length ? more : "");
  const row = el("li", { "data-testid": "member", "data-user": user, "data-role": role ?? "" }, line);
  if (selected && form) row.append(measureForm(form, spoken));
  else if (selected && memberActions.length) row.append(actionButtons(user, memberActions));
  return row;
}

/** @param {string} user @param {string[]} memberActions */
function actionButtons(user, memberActions) {
  const buttons = memberActions.map((action) => {
    const { label, bad, question } = ACTIONS[action];
    return el("button", { type: "button", class: bad ? "chip bad" : "chip", "data-do": action, "data-user": user, "data-testid": action }, question ? `${label}…` : label);
  });
  return el("div", { class: "member-actions" }, ...buttons);
}

/** Somebody and the one thing to do about them. @param {Entry} entry @param {string} action @param {string} label @param {string} [about] */
export function simpleRow(entry, action, label, about) {
  const button = el("button", { type: "button", class: "chip", "data-do": action, "data-user": entry.user, "data-testid": action, "aria-label": `${label}: ${entry.name}, ${entry.user}` }, label);
  const line = el("div", { class: "line" }, ...who(entry), about ? tag(about) : "", button);
  return el("li", { "data-testid": `${action}-row`, "data-user": entry.user }, line);
}
