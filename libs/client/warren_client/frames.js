// @ts-check
/**
 * Whether something is a frame as the protocol has them. What a broken gateway says, or a proxy in its place, must not
 * become part of what is known: a connection that brings such a thing is given up, and another one begins at our cursors.
 * Types and fields that are not known here are a newer gateway's, and pass.
 */

/** @typedef {(value: any) => boolean} Check */

/** @type {Check} */ const isText = (value) => typeof value === "string";
/** @type {Check} */ const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
/** @type {Check} */ const isSeconds = (value) => Number.isFinite(value) && value >= 0;
/** @type {Check} */ const isYesOrNo = (value) => typeof value === "boolean";
/** @type {Check} */
export const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {Check} check @returns {Check} */
const maybe = (check) => (value) => value === undefined || value === null || check(value);
/** @param {Check} check @returns {Check} */
const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
/** @param {Record<string, Check>} fields @returns {Check} */
const record = (fields) => {
  const checks = Object.entries(fields);
  return (value) => isRecord(value) && checks.every(([name, check]) => check(value[name]));
};

const isLimits = record({ rooms: (value) => isCount(value) && value > 0 });
const isPresent = record({ user: isText, name: isText, status: isText });
const isRoomEvent = record({
  seq: (value) => isCount(value) && value > 0, type: isText, id: isText, sender: isText, name: isText, key: isText, at: isText,
  number: maybe(isCount), text: maybe(isText), reply_to: maybe(isCount), user: maybe(isText), title: maybe(isText),
});

/** By type. @type {Map<string, Check>} */
const FRAMES = new Map(Object.entries({
  welcome: record({ user: record({ id: isText, name: isText }), limits: isLimits, expires_in: maybe(isSeconds), ping: maybe(isSeconds) }),
  renewed: record({ expires_in: maybe(isSeconds) }),
  joined: record({ room: isText, epoch: isText, head: isCount, number: maybe(isCount), read: maybe(isCount), reset: isYesOrNo }),
  left: record({ room: isText, seq: maybe(isCount), because: maybe(isText) }),
  events: record({ room: isText, events: listOf(isRoomEvent) }),
  ack: record({ room: isText, key: isText, seq: isCount, number: maybe(isCount) }),
  error: record({
    frame: maybe(isText), room: maybe(isText), key: maybe(isText), code: isText, detail: isText, temporary: maybe(isYesOrNo),
    retry_after: maybe(isSeconds),
  }),
  presence: record({
    room: isText, version: maybe(isCount), state: maybe(listOf(isPresent)), diff: maybe(listOf(isPresent)),
    count: maybe(record({ online: isCount, away: isCount })),
  }),
  typing: record({ room: isText, user: isText, name: isText }),
  partial: record({ room: isText, user: isText, name: isText, key: isText, text: isText }),
  bye: record({ code: isCount, after_ms: isSeconds }),
}));

/** @param {any} value */
export function isFrame(value) {
  return isRecord(value) && isText(value.type) && (FRAMES.get(value.type)?.(value) ?? true);
}

/** The frame in a text; null if there is none. @param {unknown} text */
export function frameIn(text) {
  try {
    const found = JSON.parse(/** @type {string} */ (text));
    return isFrame(found) ? found : null;
  } catch {
    return null;
  }
}
