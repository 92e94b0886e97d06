// @ts-check
/** What stands in the place of a conversation when none is open. */

import { el, worded } from "./draw.js";

/** @param {import("./wording.js").Wording} gone why the room that was open is not; empty if none was @param {string} hidden the other one of the direct room that has just been hidden, "" if none has */
export function asideNode(gone, hidden) {
  const act = (/** @type {string} */ name, /** @type {string} */ label) => el("button", { type: "button", class: "button", "data-act": name }, label);
  const isGone = gone.length > 0;
  const said = isGone
    ? [el("h2", {}, ...worded(gone)), el("p", {}, "Choose another room from the list, or find one.")]
    : [el("h2", {}, "You are in no room yet"), el("p", {}, "Join one that others opened, or open your own.")];
  const back = el("button", { type: "button", class: "button", "data-act": "speak", "data-key": hidden, "data-testid": "show-again" }, "Show it again");
  const buttons = el("div", { class: "buttons" }, hidden ? back : "", act("browse", "Browse rooms"), act("new", "New room"));
  return el("div", { class: "aside", "data-testid": isGone ? "gone" : "no-rooms" }, ...said, buttons);
}
