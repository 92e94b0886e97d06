// @ts-check
/** What stands in the place of a conversation when none is open. */

import { el } from "./draw.js";

/** @param {string} gone why the room that was open is not; "" if none was */
export function asideNode(gone) {
  const act = (/** @type {string} */ name, /** @type {string} */ label) => el("button", { type: "button", class: "button", "data-act": name }, label);
  const said = gone
    ? [el("h2", { dir: "auto" }, gone), el("p", {}, "Choose another room from the list, or find one.")]
    : [el("h2", {}, "You are in no room yet"), el("p", {}, "Join one that others opened, or open your own.")];
  const buttons = el("div", { class: "buttons" }, act("browse", "Browse rooms"), act("new", "New room"));
  return el("div", { class: "aside", "data-testid": gone ? "gone" : "no-rooms" }, ...said, buttons);
}
