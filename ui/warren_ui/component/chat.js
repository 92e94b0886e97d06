// @ts-check
/** The chat: which rooms there are, which is open, what was read. Streamlit mounts it; its reruns only update it. */

import { Banner } from "./banner.js";
import { TOKEN_REFUSED, WarrenClient } from "./client.js";
import { Composer } from "./composer.js";
import { backoff } from "./connection.js";
import { el, roomNode } from "./draw.js";
import { Log } from "./log.js";
import { Memory } from "./memory.js";
import { isDark, skeleton } from "./page.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./client.js").RoomInfo} RoomInfo */
/** @typedef {import("./client.js").Person} Person */
/**
 * @typedef {{gateways: string[], token: string, user: Person | null, rooms: RoomInfo[] | null,
 *   active: {room: string, turn: number} | null}} Data
 *   `rooms` is null while the server could not ask; `active` says which room to open, once for each `turn`.
 */
/** @typedef {(name: string, value: unknown) => void} Trigger */

/** How often rooms above the connection's limit, which are not live, are asked for news. */
const OVERFLOW_MS = 60_000;

class Chat {
  /** @type {Map<string, Timeline>} */ #timelines = new Map();
  /** @type {Trigger} */ #trigger = () => {};
  #active = "";
  #asked = { rooms: "", turn: -1 };
  #listed = 0; // how often the rooms were set: an answer that was overtaken is dropped
  #scheduled = false;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #again;
  #focus = () => this.#attend();
  #poll = setInterval(() => this.client.overflows && !document.hidden && this.#askRooms(), OVERFLOW_MS);

  /** @param {ShadowRoot} parent @param {Data} data */
  constructor(parent, data) {
    this.turn = 0;
    this.token = data.token;
    this.parts = skeleton();
    this.client = new WarrenClient({ gateways: data.gateways, token: data.token, user: data.user, storage: sessionStorage });
    this.memory = new Memory(() => this.#me);
    this.banner = new Banner(this.parts);
    this.log = new Log(this.parts, { older: () => this.#loadOlder(), seen: () => this.#markRead() });
    this.composer = new Composer(this.parts, this.memory, { ready: () => Boolean(this.client.user), send: (text) => this.#send(text) });
    this.#listen();
    this.#hearClient();
    parent.append(this.parts.root);
    this.composer.refresh();
    this.#draw();
    this.client.start();
  }

  /** A rerun of the Streamlit script. @param {Data} data @param {Trigger} trigger */
  update(data, trigger) {
    this.#trigger = trigger;
    const rooms = JSON.stringify(data.rooms);
    if (data.rooms && rooms !== this.#asked.rooms) this.#setRooms(data.rooms);
    this.#asked.rooms = rooms;
    if (!data.rooms) this.#askRoomsLater();
    if (data.active && data.active.turn !== this.#asked.turn) {
      this.#asked.turn = data.active.turn;
      this.#open(data.active.room);
    }
    const background = getComputedStyle(this.parts.root).getPropertyValue("--st-background-color");
    this.parts.root.dataset.theme = isDark(background) ? "dark" : "light";
  }

  destroy() {
    this.client.stop();
    this.banner.stop();
    this.log.stop();
    clearInterval(this.#poll);
    clearTimeout(this.#again);
    document.removeEventListener("visibilitychange", this.#focus);
    this.parts.root.remove();
    document.title = "Warren";
  }

  get #me() {
    return this.client.user?.id ?? "";
  }

  /** The open room. */
  get #current() {
    return this.#timelines.get(this.#active);
  }

  // --- what the person does -------------------------------------------------------------------------------------

  #listen() {
    const { root } = this.parts;
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => event.stopPropagation()); // Streamlit's one-letter shortcuts
    document.addEventListener("visibilitychange", this.#focus);
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {Element} */ (event.target).closest("[data-act], [data-room]");
    if (!(target instanceof HTMLElement)) return;
    const { act, room, key = "" } = target.dataset;
    if (room) this.#open(room, true);
    if (act === "bottom") this.log.toBottom();
    if (act === "retry") this.client.retry(key);
    if (act === "discard") this.client.discard(key);
    if (act === "reconnect") this.client.reconnect();
    if (act === "reload") this.#load();
    if (act === "new" || act === "browse") this.#ask(act);
  }

  /** Have the Streamlit script do something. The time makes the same wish, said twice, two wishes. @param {string} wish */
  #ask(wish) {
    this.#trigger("wish", { wish, at: Date.now() });
  }

  /** @param {string} text */
  #send(text) {
    const timeline = this.#current;
    if (!timeline) return;
    timeline.newAfter = Infinity;
    this.client.send(timeline.room, text);
    this.log.stuck = true;
    this.#draw();
  }

  /** The person left or came back. */
  #attend() {
    const timeline = this.#current;
    if (document.hidden && timeline && timeline.unread === 0) timeline.newAfter = timeline.number;
    this.#markRead();
    this.#draw();
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** @param {RoomInfo[]} rooms */
  #setRooms(rooms) {
    this.#listed += 1;
    const known = this.#timelines;
    this.#timelines = new Map();
    for (const info of [...rooms].sort((a, b) => a.title.localeCompare(b.title))) {
      const timeline = known.get(info.room) ?? this.#newTimeline(info);
      [timeline.title, timeline.kind] = [info.title, info.kind];
      timeline.number = Math.max(timeline.number, info.number ?? 0);
      timeline.read = Math.max(timeline.read, info.read ?? 0);
      this.#timelines.set(info.room, timeline);
    }
    if (!this.#current) this.#openAny();
    else this.client.follow(this.#byImportance());
    this.#draw();
  }

  /** @param {RoomInfo} info */
  #newTimeline({ room, kind, title, number = 0, read = 0 }) {
    const timeline = new Timeline(room, kind, title);
    // What was said before one came is not unread. (The server keeps no read marks yet; where it has one, it counts.)
    timeline.read = this.memory.read(room, read || number);
    return timeline;
  }

  /** The rooms by what they mean to the person: opened lately, then unread, then busy. The server joins only so many. */
  #byImportance() {
    const recent = new Map(this.memory.recent().map((room, place) => [room, place]));
    const place = (/** @type {Timeline} */ { room }) => (room === this.#active ? -1 : (recent.get(room) ?? recent.size));
    const sorted = [...this.#timelines.values()].sort((a, b) => place(a) - place(b) || b.unread - a.unread || b.number - a.number);
    return sorted.map(({ room }) => room);
  }

  /** Ask for the rooms ourselves: the Streamlit page may know less than we do now. If it knew none, it is to ask again. */
  async #askRooms() {
    clearTimeout(this.#again);
    const before = this.#listed;
    try {
      const rooms = await this.client.rooms();
      if (before === this.#listed) this.#setRooms(rooms);
      if (this.#asked.rooms === "null") this.#ask("refresh");
      else this.#tries = 0;
    } catch {
      this.#askRoomsLater(); // the rooms that we know are followed all the same
    }
  }

  #askRoomsLater() {
    clearTimeout(this.#again);
    if (this.client.state === "online") this.#again = setTimeout(() => this.#askRooms(), backoff(++this.#tries));
  }

  #openAny() {
    const [first] = this.#timelines.keys();
    this.#open(this.#timelines.has(this.memory.room) ? this.memory.room : (first ?? ""));
  }

  /** @param {string} room @param {boolean} [focus] put the cursor into the composer */
  #open(room, focus = false) {
    const timeline = this.#timelines.get(room);
    this.#active = timeline ? room : "";
    if (timeline) {
      this.memory.opened(room);
      timeline.newAfter = timeline.unread > 0 ? timeline.read : Infinity;
      if (timeline.history === "none" || timeline.history === "failed") this.#load();
    }
    this.client.follow(this.#byImportance());
    this.log.open();
    this.#draw();
    this.composer.open(this.#active);
    if (focus) this.composer.focus();
  }

  /** The newest page of the open room. Only once it is joined: what comes later is live, so there is no gap between. */
  async #load() {
    const timeline = this.#current;
    if (!timeline || timeline.history === "loading" || !this.client.isJoined(timeline.room)) return;
    const again = timeline.history === "failed";
    timeline.history = "loading";
    if (again) this.#draw();
    await this.#fetchPage(timeline);
    timeline.trim();
    this.#draw();
  }

  /** @param {Timeline} timeline */
  async #fetchPage(timeline) {
    try {
      const page = await this.client.history(timeline.room);
      if (timeline.history !== "loading") return; // reset meanwhile: this page is of another epoch
      timeline.addPage(page);
      timeline.history = "loaded";
    } catch (error) {
      timeline.history = "failed";
      timeline.problem = /** @type {Error} */ (error).message;
    }
  }

  async #loadOlder() {
    const timeline = this.#current;
    if (!timeline || timeline.history !== "loaded" || !timeline.more || timeline.loadingOlder) return;
    timeline.loadingOlder = true;
    try {
      timeline.addPage(await this.client.history(timeline.room, timeline.oldest));
    } catch {
      // the next scroll tries again
    }
    timeline.loadingOlder = false;
    this.#draw();
  }

  /** Read is what the person can have seen: this room, at its end, in a visible window. */
  #markRead() {
    const timeline = this.#current;
    if (!timeline || document.hidden || !this.log.stuck || timeline.history !== "loaded") return;
    this.log.reached();
    if (timeline.unread === 0) return;
    timeline.read = timeline.number;
    this.memory.keepRead(timeline.room, timeline.read);
    this.#draw();
  }

  // --- what the client says -------------------------------------------------------------------------------------

  #hearClient() {
    /** @type {Record<string, (detail: any) => void>} */
    const handlers = {
      state: (detail) => this.#stateChanged(detail),
      welcome: () => this.#welcomed(),
      joined: (detail) => this.#joined(detail),
      events: (detail) => this.#received(detail),
      stored: ({ room, event }) => this.#received({ room, events: [event] }),
      outbox: () => this.#draw(),
      denied: ({ room, detail }) => this.#denied(room, detail),
    };
    for (const [type, handle] of Object.entries(handlers)) {
      this.client.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    }
  }

  #welcomed() {
    this.composer.refresh();
    this.#askRooms();
  }

  /** @param {{room: string, number: number, read: number, fresh: boolean}} detail */
  #joined({ room, number, read, fresh }) {
    const timeline = this.#timelines.get(room);
    if (!timeline) return;
    timeline.number = fresh ? number : Math.max(timeline.number, number);
    timeline.read = Math.max(timeline.read, read);
    if (fresh) timeline.reset();
    if (room === this.#active && timeline.history !== "loaded") this.#load();
    this.#draw();
  }

  /** @param {{room: string, events: import("./client.js").RoomEvent[]}} detail */
  #received({ room, events }) {
    const timeline = this.#timelines.get(room);
    if (!timeline) return;
    const fresh = events.filter((event) => event.type === "message" && (event.number ?? 0) > timeline.number).length;
    timeline.add(events);
    if (room === this.#active) {
      if (this.log.stuck) timeline.trim();
      this.log.arrived(fresh);
      this.#markRead();
    }
    this.#draw();
  }

  /** @param {string} room @param {string} detail */
  #denied(room, detail) {
    const timeline = this.#timelines.get(room);
    if (!timeline) return;
    timeline.history = "failed";
    timeline.problem = detail;
    this.#draw();
  }

  /** @param {{state: import("./connection.js").State, code: number}} detail */
  #stateChanged({ state, code }) {
    this.banner.show(state, code, this.client.gateway);
    if (state === "refused" && code === TOKEN_REFUSED) this.#ask("expired");
    this.#draw();
  }

  // --- drawing --------------------------------------------------------------------------------------------------

  /** Draw soon, once for all that changes now. (Not by animation frame: those stop in a hidden tab, its title should not.) */
  #draw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#drawRooms();
      this.#drawHead();
      const timeline = this.#current;
      const rows = timeline?.rows(this.#me, this.client.outbox.of(this.#me, timeline.room)) ?? [];
      this.log.draw(timeline, rows, this.client.state === "online" ? noRooms() : undefined);
    });
  }

  #drawRooms() {
    const { list } = this.parts;
    const timelines = [...this.#timelines.values()];
    const wanted = JSON.stringify(timelines.map(({ room, title, kind, unread }) => [room, title, kind, unread, room === this.#active]));
    if (list.dataset.drawn === wanted) return;
    list.dataset.drawn = wanted;
    const focused = /** @type {ShadowRoot} */ (list.getRootNode()).activeElement?.getAttribute("data-room");
    list.replaceChildren(...timelines.map((timeline) => roomNode(timeline, timeline.room === this.#active)));
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const again = focused && list.querySelector(`[data-room="${CSS.escape(focused)}"]`);
    if (again instanceof HTMLElement) again.focus();
  }

  #drawHead() {
    const { title, about, input, root } = this.parts;
    const timeline = this.#current;
    root.classList.toggle("empty", !timeline);
    title.textContent = timeline?.title ?? (this.client.state === "online" ? "Welcome" : "");
    about.textContent = timeline ? `${timeline.kind === "private" ? "Private room" : "Public room"} · ${timeline.room}` : "";
    input.placeholder = timeline ? `Message ${timeline.title}` : "";
    const unread = [...this.#timelines.values()].reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread > 99 ? "99+" : unread}) Warren` : "Warren";
  }
}

/** What to do without any room. */
function noRooms() {
  const act = (/** @type {string} */ name, /** @type {string} */ label) => el("button", { type: "button", class: "button", "data-act": name }, label);
  return el(
    "div",
    { class: "aside" },
    el("h2", {}, "You are in no room yet"),
    el("p", {}, "Join one that others opened, or open your own."),
    el("div", { class: "buttons" }, act("browse", "Browse rooms"), act("new", "New room")),
  );
}

/** Where a mount keeps its Chat: on the element, so that the script of a newer version finds it too and ends it. */
const SLOT = Symbol.for("warren.chat");

/** Streamlit calls this at the mount and at every rerun; the cleanup means "unmounted" only if no later call was made. */
export default function mount(/** @type {{data: Data, parentElement: any, setTriggerValue: Trigger}} */ { data, parentElement, setTriggerValue }) {
  let chat = parentElement[SLOT];
  if (chat && !(chat instanceof Chat && chat.token === data.token)) {
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
