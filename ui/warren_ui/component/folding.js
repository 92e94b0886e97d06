// @ts-check
/** What rooms and people are found by: their names as somebody may write them who does not know how they are written. */

/**
 * Letters that Unicode does not take apart into another letter and a mark, and that are written without it. All of this is as
 * in the persistence service's `folding.py`, which people are found by: a test holds the two against each other.
 */
const ALIKE = /** @type {Record<string, string>} */ ({ "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe" });

/** Of the marks that were met, of which Unicode has some thousands. @type {Map<string, boolean>} */
const accents = new Map();

/** The text without what tells cases, accents, widths and blanks apart; the same for İ, I, ı and i. @param {string} text */
export function folded(text) {
  const apart = text.normalize("NFKD").toLowerCase().replace(/(?![a-z])\p{Changes_When_Casemapped}/gu, caseless).normalize("NFKD");
  const bare = apart.replace(/\p{Cf}/gu, "").replace(/\p{M}/gu, (mark) => (isAccent(mark) ? "" : mark));
  return bare.replace(/[ıłøđðħŧæœ]/gu, (letter) => ALIKE[letter]).trim().replace(/\s+/gu, " ");
}

/** By way of capitals: they bring ß, ſ and ς together with what else is written so. One by one: a ς that ends a word is a σ, too. @param {string} char */
function caseless(char) {
  return char.toLowerCase().toUpperCase().toLowerCase(); // first the small one: the capital ẞ has none of its own
}

/** Whether it stands at a letter, as accents do, and is no letter itself, as the vowels of India are: normalizing orders accents alone (U+0334 goes first, U+0345 last). @param {string} mark */
function isAccent(mark) {
  const known = accents.get(mark);
  if (known !== undefined) return known;
  const found = [`\u0345${mark}`, `${mark}\u0334`].some((pair) => pair.normalize("NFD") !== pair);
  accents.set(mark, found);
  return found;
}
