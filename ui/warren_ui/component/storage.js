// @ts-check
/** The browser's storage, for pages that must go on without: it may be forbidden, or full. */

/** What could not be stored is kept here until the page is closed, so that nothing else has to know. */
export class SafeStorage {
  /** @type {Map<string, string | null>} */ #kept = new Map();

  /** @param {() => Storage} open throws where site data is blocked */
  constructor(open) {
    this.open = open;
  }

  /** @param {string} key @returns {string | null} */
  getItem(key) {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    return this.#tried((storage) => storage.getItem(key)) ?? null;
  }

  /** @param {string} key @param {string} value */
  setItem(key, value) {
    this.#keep(key, value, (storage) => storage.setItem(key, value));
  }

  /** @param {string} key */
  removeItem(key) {
    this.#keep(key, null, (storage) => storage.removeItem(key));
  }

  /** The keys that begin so. @param {string} prefix @returns {string[]} */
  keys(prefix) {
    return (this.#tried((storage) => Object.keys(storage)) ?? []).filter((key) => key.startsWith(prefix));
  }

  /** @param {string} key @param {string | null} value @param {(storage: Storage) => void} store */
  #keep(key, value, store) {
    const isStored = this.#tried((storage) => { store(storage); return true; });
    if (isStored) this.#kept.delete(key);
    else this.#kept.set(key, value);
  }

  /** @template Result @param {(storage: Storage) => Result} use @returns {Result | undefined} */
  #tried(use) {
    try {
      return use(this.open());
    } catch {
      return undefined;
    }
  }
}
