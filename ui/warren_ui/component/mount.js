// @ts-check
/** Where Streamlit comes in: it mounts the chat, tells it of reruns, and takes it away. */

import { Chat } from "./chat.js";

/** @typedef {import("./chat.js").Data} Data */
/** @typedef {import("./chat.js").Trigger} Trigger */

/** Where a mount keeps its Chat: on the element, so that the script of a newer version finds it too and ends it. */
const SLOT = Symbol.for("warren.chat");

/** Streamlit calls this at the mount and at every rerun; the cleanup means "unmounted" only if no later call was made. */
export default function mount(/** @type {{data: Data, parentElement: any, setTriggerValue: Trigger}} */ { data, parentElement, setTriggerValue }) {
  let chat = parentElement[SLOT];
  if (chat && !(chat instanceof Chat && chat.serves(data))) {
    chat.destroy();
    chat = undefined;
  }
  chat ??= parentElement[SLOT] = new Chat(parentElement, data);
  chat.update(data, setTriggerValue);
  const turn = ++chat.turn;
  return () => {
    if (chat.turn !== turn) return;
    chat.destroy();
    delete parentElement[SLOT];
  };
}
