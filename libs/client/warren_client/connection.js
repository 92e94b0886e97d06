// @ts-check
/** One WebSocket to whichever gateway answers: hello, signs of life, and coming back. What the frames say is its owner's. */

/** @typedef {"connecting" | "online" | "reconnecting" | "refused" | "stopped"} State */
/**
 * @typedef {{state: (state: State, code: number) => void, frame: (frame: any) => void, lost: () => void, beat: () => void}} Owner
 *   `frame` gets every frame but `bye`; `lost` comes whenever a socket is given up, `beat` with every ping.
 */

const SUBPROTOCOL = "warren.v1";
const WELCOME_TIMEOUT_MS = 8_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 15_000;
const PONG_TIMEOUT_MS = 10_000;
const WAKE_TIMEOUT_MS = 4_000;
const BYE_TIMEOUT_MS = 3_000;
const STABLE_MS = 5_000;

/** Full jitter: any delay up to the ceiling, so that a thousand clients do not come back at once. @param {number} attempt */
export function backoff(attempt) {
  return Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

export class Connection {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {State} */ #state = "stopped";
  /** @type {string[]} */ #gateways;
  /** @type {Owner} */ #owner;
  /** @type {{code: number, after_ms: number} | null} */ #bye = null;
  #token;
  #turn;
  #attempt = 0;
  #onlineSince = 0;
  #lastHeard = 0;
  #seenOnline = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #pulse;
  #wake = () => this.#wakeUp();

  /** @param {string[]} gateways @param {string} token @param {Owner} owner */
  constructor(gateways, token, owner) {
    this.#gateways = gateways;
    this.#token = token;
    this.#owner = owner;
    this.#turn = Math.floor(Math.random() * gateways.length); // spreads the clients over the replicas
  }

  /** The base URL of the gateway in use. */
  get gateway() {
    return this.#gateways[this.#turn % this.#gateways.length].replace(/\/+$/, "");
  }

  get state() {
    return this.#state;
  }

  /** Stands for this socket: another value later means that another took its place. @returns {unknown} */
  get current() {
    return this.#socket;
  }

  start() {
    window.addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#connect();
  }

  stop() {
    window.removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#abandon();
    clearTimeout(this.#timer);
    this.#state = "stopped";
  }

  /** Try again now: the person asked for it. */
  reconnect() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#connect();
  }

  /** Go on with another token of the same person. @param {string} token */
  renew(token) {
    this.#token = token;
    if (this.#state === "online") this.transmit({ type: "auth", token });
    if (this.#state === "refused") this.reconnect();
  }

  /** @param {object} frame */
  transmit(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** The verdict is in the code: 4500-4999 is final, all else is worth another try. @param {number} code */
  end(code) {
    clearTimeout(this.#timer);
    this.#abandon();
    const bye = this.#bye;
    const verdict = code >= 4000 ? code : (bye?.code ?? code);
    if (verdict >= 4500 && verdict <= 4999) {
      this.#setState("refused", verdict);
      return;
    }
    if (this.#onlineSince && Date.now() - this.#onlineSince > STABLE_MS) this.#attempt = 0;
    this.#onlineSince = 0;
    this.#setState(this.#seenOnline ? "reconnecting" : "connecting");
    this.#turn = (this.#turn + 1) % this.#gateways.length;
    this.#timer = setTimeout(() => this.#connect(), (bye?.after_ms ?? 0) + backoff(this.#attempt));
    this.#attempt += 1;
  }

  #connect() {
    this.#setState(this.#seenOnline ? "reconnecting" : "connecting");
    this.#bye = null;
    const socket = new WebSocket(`${this.gateway.replace(/^http/, "ws")}/v1/ws`, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.transmit({ type: "hello", token: this.#token });
    socket.onmessage = (message) => this.#hear(message.data);
    socket.onclose = (close) => this.end(close.code);
    this.#timer = setTimeout(() => this.#giveUp(), WELCOME_TIMEOUT_MS);
  }

  /** Let go of the socket without hearing from it again: the close handshake of a dead peer takes a minute. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#pulse);
    this.#owner.lost();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #giveUp() {
    if (this.#socket) this.end(1006);
  }

  /** The machine woke up, the network or the person came back: do not wait out a timer that was set before. */
  #wakeUp() {
    if (document.visibilityState === "hidden" || this.#state === "refused" || this.#state === "stopped") return;
    if (!this.#socket) this.reconnect();
    else if (this.#state === "online") this.#beat(WAKE_TIMEOUT_MS);
  }

  /** Ask for a sign of life: a dead connection looks open for minutes. @param {number} patience in ms */
  #beat(patience) {
    const [socket, asked] = [this.#socket, Date.now()];
    this.transmit({ type: "ping" });
    setTimeout(() => socket === this.#socket && this.#lastHeard < asked && this.#giveUp(), patience);
    this.#owner.beat();
  }

  /** @param {string} data */
  #hear(data) {
    this.#lastHeard = Date.now();
    const frame = JSON.parse(data);
    if (frame.type === "bye") return this.#dismissed(frame);
    if (frame.type === "welcome") this.#welcomed(frame);
    this.#owner.frame(frame);
    if (frame.type === "welcome") this.#setState("online");
  }

  /** @param {{ping: number}} frame */
  #welcomed(frame) {
    clearTimeout(this.#timer);
    this.#onlineSince = Date.now();
    this.#seenOnline = true;
    this.#pulse = setInterval(() => this.#beat(PONG_TIMEOUT_MS), frame.ping * 1000);
  }

  /** The server will close with this verdict; if it does not, we do. @param {{code: number, after_ms: number}} frame */
  #dismissed(frame) {
    this.#bye = frame;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(frame.code), BYE_TIMEOUT_MS);
  }

  /** @param {State} state @param {number} [code] */
  #setState(state, code = 0) {
    if (state === this.#state) return;
    this.#state = state;
    this.#owner.state(state, code);
  }
}
