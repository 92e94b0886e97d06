// @ts-check
/** The token: one that the page gave, or a function of the page's that fetches it. */

/** @typedef {(why: {refresh: boolean}) => string | Promise<string>} TokenFunction  `refresh`: the last one is not good (for long) any more */

/** So long a page's function may take. */
const TOKEN_TIMEOUT_MS = 15_000;

export class TokenSource {
  #token = "";
  #isStale = false;
  /** Whether the present token came from a refresh and was not used with success since. */ #isFresh = false;
  /** @type {TokenFunction | null} */ #give = null;
  /** @type {Promise<string> | undefined} */ #asking;

  /** @param {string | TokenFunction} given @param {(token: string) => void} renewed there is another one than before */
  constructor(given, renewed) {
    if (typeof given === "function") this.#give = given;
    else this.#token = given;
    this.renewed = renewed;
  }

  /** Whether there is somebody to ask for another one. */
  get canRefresh() {
    return this.#give !== null;
  }

  /** The token; "" if there is none any more. Rejects if the page's function does. */
  async get() {
    return this.#isStale || !this.#token ? this.refresh() : this.#token;
  }

  /** A newer one, from the page's function: many who ask at once are one call. @returns {Promise<string>} */
  async refresh() {
    if (!this.#give) return this.#token;
    this.#asking ??= this.#ask(this.#give).finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  /** Go on with this one. @param {string} token */
  set(token) {
    const isNew = token !== this.#token;
    [this.#token, this.#isStale, this.#isFresh] = [token, false, false];
    if (isNew) this.renewed(token);
  }

  /** The server took it. */
  accepted() {
    this.#isFresh = false;
  }

  /** The server refused this token. Is there a point in trying again with what `get` brings then? @param {string} token */
  refused(token) {
    if (token !== this.#token) return true; // another has come meanwhile
    if (!this.#give || this.#isFresh) return false;
    this.#isStale = true;
    return true;
  }

  /** @param {TokenFunction} give */
  async #ask(give) {
    const refresh = this.#token !== "";
    const token = (await inTime(Promise.resolve(give({ refresh })), TOKEN_TIMEOUT_MS)) || "";
    this.set(token);
    this.#isFresh = refresh;
    return token;
  }
}

/** @template Value @param {Promise<Value>} promise @param {number} ms @returns {Promise<Value>} */
function inTime(promise, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no token within ${ms / 1_000} s`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
