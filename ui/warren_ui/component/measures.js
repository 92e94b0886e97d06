// @ts-check
/** The small forms of the room panel in which one says what exactly is to be done to somebody, and confirms it. */

import { el } from "./draw.js";

const HOUR_MS = 3_600_000;
/** In ms; 0 has no end. @type {[number, string][]} */
const DURATIONS = [[HOUR_MS, "1 hour"], [24 * HOUR_MS, "1 day"], [7 * 24 * HOUR_MS, "1 week"], [0, "For ever"]];
const REASON_LIMIT = 200;

/** What each action is called, and what is asked before it is done; those without a question are done at once. */
export const ACTIONS = /** @type {Record<string, {label: string, question?: string, bad?: boolean}>} */ ({
  "talk": { label: "Message" },
  "role-moderator": { label: "Make moderator" },
  "role-member": { label: "Make member" },
  "role-owner": { label: "Make owner", question: "An owner can do all that you can, and you can't take it back." },
  "mute": { label: "Mute", question: "Can read, can't write.", bad: true },
  "unmute": { label: "Unmute" },
  "remove": { label: "Remove", question: "Ends the membership. A public room can be joined again.", bad: true },
  "ban": { label: "Ban", question: "Can neither read nor come back until it ends.", bad: true },
  "hide": { label: "Hide" },
  "block": { label: "Block", question: "They can no longer write to you here or invite you, and are not told. You can't write to them until you unblock them.", bad: true },
  "unblock": { label: "Unblock" },
  "archive": { label: "Archive room", question: "Everybody can go on reading; nobody can write until an owner restores it.", bad: true },
  "restore": { label: "Restore room" },
  "leave": { label: "Leave room", question: "You will see no more of it. Into a private room you have to be invited again.", bad: true },
});

/**
 * The form for `action` upon somebody, nobody if it is about the room.
 * @param {string} action @param {string} name
 */
export function measureForm(action, name) {
  const { label, question = "", bad } = ACTIONS[action];
  const form = el("form", { class: "measure", "data-do": action, "data-testid": "measure", "aria-label": `${label} ${name}`.trim() });
  form.append(el("p", {}, question));
  if (action === "mute" || action === "ban") form.append(...lengthAndReason());
  const confirm = el("button", { type: "submit", class: bad ? "button bad" : "button strong", "data-testid": "confirm" }, name ? `${label} ${name}` : label);
  const cancel = el("button", { type: "button", class: "button", "data-do": "cancel" }, "Cancel");
  form.append(el("div", { class: "buttons" }, confirm, cancel));
  return form;
}

function lengthAndReason() {
  const options = DURATIONS.map(([value, label]) => el("option", { value }, label));
  const length = el("select", { name: "length", "data-testid": "length" }, ...options);
  const reason = el("input", { name: "reason", maxlength: REASON_LIMIT, placeholder: "Reason (they will see it)", "aria-label": "Reason", autocomplete: "off", "data-testid": "reason" });
  return [el("label", {}, "For how long ", length), reason];
}

/** What the person chose in the form. @param {HTMLFormElement} form @returns {import("warren-client").Measure} */
export function measureOf(form) {
  const fields = new FormData(form);
  const length = Number(fields.get("length"));
  const reason = String(fields.get("reason") ?? "").trim();
  return { until: length ? new Date(Date.now() + length).toISOString() : null, reason: reason || null };
}
