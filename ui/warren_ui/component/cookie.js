// @ts-check
/** Keeps the session's token in a cookie, which Streamlit can read after a reload and can't write by itself. */

const NAME = "warren_token";

/** @param {string} value @param {number} seconds */
function write(value, seconds) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${NAME}=${value}; Path=/; SameSite=Strict; Max-Age=${seconds}${secure}`;
}

/** `forget` ends the session of that token alone: another tab may have signed in anew meanwhile. */
export default function mount(/** @type {{data: {keep?: string, seconds?: number, forget?: string}}} */ { data }) {
  try {
    if (data.keep) write(data.keep, data.seconds ?? 0);
    if (data.forget && document.cookie.split("; ").includes(`${NAME}=${data.forget}`)) write("", 0);
  } catch {
    // site data is blocked: a reload asks who one is
  }
}
