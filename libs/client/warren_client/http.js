// @ts-check
/** One HTTP request to a gateway, and what may come of it. */

import { reasonable } from "./backoff.js";
import { isRecord } from "./frames.js";

export const REQUEST_TIMEOUT_MS = 15_000;
const UNREACHABLE = "The server can't be reached just now.";

/**
 * @typedef {{method?: string, body?: object, headers?: Record<string, string>, timeout?: number, signal?: AbortSignal}} Request
 *   `timeout` in ms; `signal` gives the request up.
 */

/** A failed HTTP request, with a sentence for the person. */
export class RequestError extends Error {
  /** @param {string} detail @param {number} status 0 if there was no answer @param {{code?: string, temporary?: boolean}} [problem] @param {number} [retryAfter] in seconds */
  constructor(detail, status, { code = "unavailable", temporary = status === 0 || status >= 500 } = {}, retryAfter = undefined) {
    super(detail);
    this.name = "RequestError";
    this.status = status;
    /** What is wrong, in a word: `forbidden`, `not_found` … */ this.code = code;
    /** Whether the same request may succeed later. */ this.temporary = temporary;
    this.retryAfter = retryAfter;
  }
}

/** Ask and return the answer's JSON, or throw a RequestError. @param {string} url @param {string} token "" for none @param {Request} [request] @returns {Promise<any>} */
export async function ask(url, token, { method = "GET", body, headers = {}, timeout = REQUEST_TIMEOUT_MS, signal } = {}) {
  const [limited, settle] = limit(timeout, signal);
  try {
    const all = { ...bearer(token), ...(body ? { "Content-Type": "application/json" } : {}), ...headers };
    const response = await fetch(url, { method, headers: all, signal: limited, cache: "no-store", body: body && encoded(body) });
    if (!response.ok) throw await problemOf(response);
    const answer = response.status === 204 ? {} : await response.json();
    if (!isRecord(answer)) throw new TypeError("an answer is an object");
    return answer;
  } catch (error) {
    throw error instanceof RequestError ? error : new RequestError(UNREACHABLE, 0);
  } finally {
    settle();
  }
}

/** As JSON that every gateway can decode. @param {object} value */
export function encoded(value) {
  return JSON.stringify(value, (_, part) => (typeof part === "string" ? wellFormed(part) : part));
}

/** The text without halves of surrogate pairs, which no UTF-8 can carry. (`toWellFormed` is too new.) @param {string} text */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd"); // pairs are one character to it
}

/** @param {string} token @returns {Record<string, string>} */
export function bearer(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** What a response that is no success says. @param {Response} response */
export async function problemOf(response) {
  const said = await response.json().catch(() => null);
  const { detail, code, temporary } = isRecord(said) ? said : {};
  const problem = { code: typeof code === "string" ? code : undefined, temporary: typeof temporary === "boolean" ? temporary : undefined };
  const retryAfter = Number(response.headers.get("Retry-After") ?? NaN);
  const seconds = Number.isFinite(retryAfter) ? reasonable(retryAfter * 1_000) / 1_000 : undefined;
  const what = typeof detail === "string" ? detail : `the server answered ${response.status}`;
  return new RequestError(sentence(what), response.status, problem, seconds);
}

/** What the server says, as a sentence. @param {string} detail */
export function sentence(detail) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** A signal that comes after so many ms, or with the other one; and what to call when neither matters any more. @param {number} ms @param {AbortSignal} [other] @returns {[AbortSignal, () => void]} */
function limit(ms, other) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, ms);
  other?.addEventListener("abort", abort);
  if (other?.aborted) abort();
  const settle = () => {
    clearTimeout(timer);
    other?.removeEventListener("abort", abort);
  };
  return [controller.signal, settle];
}
