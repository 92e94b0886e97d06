// @ts-check
/** Which texts are nothing but a few emoji. One pass, without a regular expression: whoever writes a text chooses what it costs. */

const FEW = 3;
/** UTF-16 units. Three of the longest emoji, couples or families with a skin tone each, are 60, and may stand apart. */
const LONGEST_TEXT = 80;
const PICTURE = /\p{Extended_Pictographic}/u;
const LETTER_OF_A_FLAG = /\p{Regional_Indicator}/u;
/** What belongs to the picture before it: a tone, the wish for colour, the letters of a subdivision's flag. */
const ADDITION = /[\p{Emoji_Modifier}\ufe0f\u{e0020}-\u{e007f}]/u;
const KEY = /[0-9#*]/;
const KEYCAP = "\u20e3";
const COLOURED = "\ufe0f";
const JOINER = "\u200d";

/** Whether a text is one to three emoji, with or without blanks between them. @param {string} text */
export function isFewEmoji(text) {
  if (text.length > LONGEST_TEXT) return false;
  const chars = [...text].filter((char) => char.trim());
  let [at, count] = [0, 0];
  for (let end = endOfEmoji(chars, at); end > at; end = endOfEmoji(chars, at)) [at, count] = [end, count + 1];
  return at === chars.length && count > 0 && count <= FEW;
}

/** Where the emoji that begins at `at` ends; `at` if there is none. @param {string[]} chars code points @param {number} at @returns {number} */
function endOfEmoji(chars, at) {
  const [first = "", second = ""] = [chars[at], chars[at + 1]];
  if (LETTER_OF_A_FLAG.test(first)) return LETTER_OF_A_FLAG.test(second) ? at + 2 : at;
  if (KEY.test(first)) return endOfKeycap(chars, at);
  if (!PICTURE.test(first)) return at;
  let end = at + 1;
  while (ADDITION.test(chars[end] ?? "")) end += 1;
  if (chars[end] !== JOINER) return end;
  return Math.max(end, endOfEmoji(chars, end + 1)); // a joiner joins it with the next one
}

/** @param {string[]} chars @param {number} at */
function endOfKeycap(chars, at) {
  const end = at + (chars[at + 1] === COLOURED ? 2 : 1);
  return chars[end] === KEYCAP ? end + 1 : at;
}
