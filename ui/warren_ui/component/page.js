// @ts-check
/** The page's nodes: all that are written to later, in their frame. */

import { el, icon } from "./draw.js";

/** @typedef {ReturnType<typeof skeleton>} Parts */

/** The room list, the conversation, the composer. */
export function skeleton() {
  const parts = {
    list: el("ul"),
    title: el("h1", { dir: "auto" }),
    about: el("span", { class: "about", "data-testid": "about" }),
    status: el("span", { class: "status", "data-testid": "status" }),
    banner: el("div", { class: "banner", role: "status", "aria-live": "polite", "data-testid": "banner" }),
    log: el("div", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Messages", tabindex: 0, "data-testid": "messages" }),
    notices: el("div", { class: "notices", role: "region", "aria-live": "polite", "aria-label": "Notices", "data-testid": "notices" }),
    people: el("button", { type: "button", class: "round people", "data-act": "panel", "data-testid": "panel-toggle", "aria-expanded": "false", hidden: true }, icon("people")),
    panel: el("aside", { class: "panel", "aria-label": "People and settings", "data-testid": "panel", hidden: true }),
    typing: el("p", { class: "typing", role: "status", "aria-live": "polite", "data-testid": "typing" }),
    hold: el("p", { class: "hold", role: "status", "data-testid": "hold" }),
    unblock: el("button", { type: "button", class: "button", "data-act": "unblock", "data-testid": "unblock-here", hidden: true }, "Unblock"),
    pill: el("button", { type: "button", class: "pill", "data-act": "bottom", "data-testid": "pill", hidden: true }),
    input: el("textarea", { rows: 1, "aria-label": "Message", enterkeyhint: isTouched() ? "enter" : "send", "data-testid": "composer" }),
    counter: el("span", { class: "counter", "aria-live": "polite", "data-testid": "counter" }),
    send: el("button", { type: "submit", class: "send", "aria-label": "Send", title: isTouched() ? "Send" : "Send (Enter)", "data-testid": "send" }, icon("send")),
  };
  const form = el("form", { class: "composer" }, el("div", { class: "field" }, parts.input, parts.counter), parts.send, parts.hold, parts.unblock);
  const frame = el("div", { class: "frame" }, rooms(parts.list), talk(parts, form), parts.panel);
  const root = el("div", { class: "warren" }, frame); // the container that the frame's layout asks for its width
  return { ...parts, form, root };
}

/** @param {HTMLElement} list */
function rooms(list) {
  const button = (/** @type {string} */ act, /** @type {string} */ label, /** @type {"plus" | "search" | "chat"} */ glyph) =>
    el("button", { type: "button", class: "round", "data-act": act, "data-testid": act, "aria-label": label, title: label }, icon(glyph));
  const heading = el("header", {}, el("h2", {}, "Rooms"), button("talk", "Message somebody", "chat"), button("browse", "Browse rooms", "search"), button("new", "New room", "plus"));
  return el("nav", { class: "rooms", "aria-label": "Rooms" }, heading, list);
}

/** @param {Record<"title" | "about" | "status" | "people" | "notices" | "log" | "banner" | "pill" | "typing", HTMLElement>} parts @param {HTMLElement} form */
function talk({ title, about, status, people, notices, log, banner, pill, typing }, form) {
  return el(
    "section",
    { class: "talk", "aria-label": "Conversation" },
    el("header", {}, el("div", { class: "names" }, title, about), status, people),
    notices,
    el("div", { class: "stage" }, log, banner, pill),
    typing,
    form,
  );
}

/** Whether one writes on the screen: there Enter is the only way to a second line, and the button is near. */
export function isTouched() {
  return matchMedia("(pointer: coarse)").matches;
}

/** Is the colour a dark one? Streamlit says the colours of the theme, not whether it is dark. @param {string} colour */
export function isDark(colour) {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return false;
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}
