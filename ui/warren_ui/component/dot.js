// @ts-check
/** The mark of somebody's state: full, half or empty, so that it does not take colours to tell. */

import { el } from "./draw.js";
import { STATUS_TEXT } from "./wording.js";

/** @typedef {import("./presence.js").Status} Status */

/** A mark that shows nothing yet. `told`: the words stand beside it, so that only sighted people need it. @param {{told: boolean}} how */
export function dotNode({ told }) {
  return el("span", { class: "dot", hidden: true, ...(told ? { "aria-hidden": "true" } : { role: "img" }) });
}

/** Show it in place: its neighbours, and whatever is focused among them, stay. @param {HTMLElement} dot @param {Status | undefined} status undefined if it is not known */
export function showStatus(dot, status) {
  if (dot.dataset.status === (status ?? "")) return;
  dot.dataset.status = status ?? "";
  dot.hidden = !status;
  const label = status ? STATUS_TEXT[status] : "";
  dot.title = label;
  if (dot.getAttribute("role") === "img") dot.setAttribute("aria-label", label);
}
