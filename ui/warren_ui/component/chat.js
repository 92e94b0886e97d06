// @ts-check
/** The chat page: the room list, the conversation, the composer. Streamlit mounts it; its reruns only update it. */

import { WarrenClient } from "./client.js";
import { el, icon, roomNode, rowNode, signature } from "./draw.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./client.js").RoomInfo} RoomInfo */
/** @typedef {import("./client.js").Person} Person */
/**
 * @typedef {{gateways: string[], token: string, user: Person | null, rooms: RoomInfo[] | null,
 *   active: {room: string, turn: number} | null}} Data
 *   `rooms` is null while the server could not ask; `active` says which room to open, once for each `turn`.
 */
/** @typedef {(name: string, value: unknown) => void} Trigger */

const TEXT_LIMIT = 4_000;
const COUNT_FROM = 3_600;
const NEAR_PX = 60;
const LOAD_OLDER_PX = 300;
const VERDICTS = {
  4501: "The server did not understand this page. Reload it.",
  4505: "Too many messages at once, so the server ended the connection.",
  4506: "You were removed.",
};

/** All of the page's nodes that are written to later. */
function skeleton() {
  const button = (/** @type {string} */ act, /** @type {string} */ label, /** @type {"plus" | "search"} */ glyph) =>
    el("button", { type: "button", class: "round", "data-act": act, "data-testid": act, "aria-label": label, title: label }, icon(glyph));
  const parts = {
    list: el("ul"),
    title: el("h1", { dir: "auto" }),
    about: el("span", { class: "about" }),
    status: el("span", { class: "status", "data-testid": "status" }),
    banner: el("div", { class: "banner", role: "status", "aria-live": "polite", "data-testid": "banner" }),
    log: el("div", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Messages", tabindex: 0, "data-testid": "messages" }),
    pill: el("button", { type: "button", class: "pill", "data-act": "bottom", "data-testid": "pill", hidden: true }),
    input: el("textarea", { rows: 1, "aria-label": "Message", enterkeyhint: "send", "data-testid": "composer" }),
    counter: el("span", { class: "counter", "aria-live": "polite" }),
    send: el("button", { type: "submit", class: "send", "aria-label": "Send", title: "Send (Enter)", "data-testid": "send" }, icon("send")),
  };
  const heading = el("header", {}, el("h2", {}, "Rooms"), button("browse", "Browse rooms", "search"), button("new", "New room", "plus"));
  const form = el("form", { class: "composer" }, el("div", { class: "field" }, parts.input, parts.counter), parts.send);
  const frame = el(
    "div",
    { class: "frame" },
    el("nav", { class: "rooms", "aria-label": "Rooms" }, heading, parts.list),
    el(
      "section",
      { class: "talk", "aria-label": "Conversation" },
      el("header", {}, el("div", { class: "names" }, parts.title, parts.about), parts.status),
      el("div", { class: "stage" }, parts.log, parts.banner, parts.pill),
      form,
    ),
  );
  const root = el("div", { class: "warren" }, frame); // the container that the frame's layout asks for its width
  return { ...parts, form, root };
}

/** Is the colour a dark one? Streamlit says the colours of the theme, not whether it is dark. @param {string} colour */
function isDark(colour) {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return false;
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

class Chat {
  /** @type {Map<string, Timeline>} */ #timelines = new Map();
  /** @type {Map<string, {node: HTMLElement, signature: string}>} */ #drawn = new Map();
  /** @type {Trigger} */ #trigger = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #bannerTimer;
  #active = "";
  #drawnRoom = "";
  #asked = { rooms: "", turn: -1 };
  #stuck = true; // the log stays at its end, as long as the reader is there
  #below = 0; // messages that came while the reader was further up
  #scheduled = false;
  #resize = new ResizeObserver(() => this.#stuck && this.#toBottom());
  #focus = () => this.#attend();

  /** @param {ShadowRoot} parent @param {Data} data */
  constructor(parent, data) {
    this.turn = 0;
    this.token = data.token;
    this.parts = skeleton();
    this.client = new WarrenClient({ gateways: data.gateways, token: data.token, user: data.user, storage: sessionStorage });
    this.#listen();
    this.#hearClient();
    parent.append(this.parts.root);
    this.#resize.observe(this.parts.log);
    this.#typed();
    this.#draw();
    this.client.start();
  }

  /** A rerun of the Streamlit script. @param {Data} data @param {Trigger} trigger */
  update(data, trigger) {
    this.#trigger = trigger;
    const rooms = JSON.stringify(data.rooms);
    if (data.rooms && rooms !== this.#asked.rooms) this.#setRooms(data.rooms);
    this.#asked.rooms = rooms;
    if (data.active && data.active.turn !== this.#asked.turn) {
      this.#asked.turn = data.active.turn;
      this.#open(data.active.room);
    }
    const background = getComputedStyle(this.parts.root).getPropertyValue("--st-background-color");
    this.parts.root.dataset.theme = isDark(background) ? "dark" : "light";
  }

  destroy() {
    this.client.stop();
    this.#resize.disconnect();
    clearTimeout(this.#bannerTimer);
    document.removeEventListener("visibilitychange", this.#focus);
    this.parts.root.remove();
    document.title = "Warren";
  }

  // --- what the person does -------------------------------------------------------------------------------------

  #listen() {
    const { root, log, form, input } = this.parts;
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => event.stopPropagation()); // Streamlit's one-letter shortcuts
    log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
    input.addEventListener("input", () => this.#typed());
    input.addEventListener("keydown", (event) => this.#pressed(event));
    document.addEventListener("visibilitychange", this.#focus);
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {Element} */ (event.target).closest("[data-act], [data-room]");
    if (!(target instanceof HTMLElement)) return;
    const { act, room, key = "" } = target.dataset;
    if (room) this.#open(room, true);
    if (act === "bottom") this.#toBottom();
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

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#send();
  }

  #typed() {
    const { input, counter, send } = this.parts;
    const timeline = this.#timelines.get(this.#active);
    if (timeline) {
      timeline.draft = input.value;
      this.#saveDraft(timeline);
    }
    const length = [...input.value.trim()].length;
    counter.textContent = length > COUNT_FROM ? `${TEXT_LIMIT - length}` : "";
    counter.classList.toggle("over", length > TEXT_LIMIT);
    send.disabled = !timeline || !this.client.user || length === 0 || length > TEXT_LIMIT;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${input.scrollHeight}px`; // 0 while the composer is hidden
  }

  #send() {
    const { input, send } = this.parts;
    const timeline = this.#timelines.get(this.#active);
    if (!timeline || send.disabled) return;
    timeline.newAfter = Infinity;
    this.client.send(timeline.room, input.value.trim());
    input.value = "";
    this.#typed();
    this.#stuck = true;
    this.#draw();
  }

  /** @param {Timeline} timeline */
  #saveDraft({ room, draft }) {
    if (draft) sessionStorage.setItem(`warren:draft:${room}`, draft);
    else sessionStorage.removeItem(`warren:draft:${room}`);
  }

  #scrolled() {
    const { log } = this.parts;
    this.#stuck = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    if (this.#stuck) this.#markRead();
    if (log.scrollTop < LOAD_OLDER_PX) this.#loadOlder();
    this.#drawPill();
  }

  #toBottom() {
    this.parts.log.scrollTop = this.parts.log.scrollHeight;
  }

  /** The person left or came back. */
  #attend() {
    const timeline = this.#timelines.get(this.#active);
    if (document.hidden && timeline && timeline.unread === 0) timeline.newAfter = timeline.number;
    this.#markRead();
    this.#draw();
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  /** @param {RoomInfo[]} rooms */
  #setRooms(rooms) {
    const known = this.#timelines;
    this.#timelines = new Map();
    for (const info of [...rooms].sort((a, b) => a.title.localeCompare(b.title))) {
      const timeline = known.get(info.room) ?? this.#newTimeline(info);
      [timeline.title, timeline.kind] = [info.title, info.kind];
      timeline.number = Math.max(timeline.number, info.number ?? 0);
      timeline.read = Math.max(timeline.read, info.read ?? 0);
      this.#timelines.set(info.room, timeline);
    }
    this.client.follow([...this.#timelines.keys()]);
    if (!this.#timelines.has(this.#active)) this.#openAny();
    this.#draw();
  }

  /** @param {RoomInfo} info */
  #newTimeline({ room, kind, title, number = 0, read = 0 }) {
    const timeline = new Timeline(room, kind, title);
    timeline.draft = sessionStorage.getItem(`warren:draft:${room}`) ?? "";
    const slot = this.#readSlot(room);
    // What was said before one came is not unread. (The server keeps no read marks yet; where it has one, it counts.)
    if (localStorage.getItem(slot) === null) localStorage.setItem(slot, String(read || number));
    timeline.read = Number(localStorage.getItem(slot));
    return timeline;
  }

  #openAny() {
    const last = sessionStorage.getItem("warren:room") ?? "";
    const [first] = this.#timelines.keys();
    this.#open(this.#timelines.has(last) ? last : (first ?? ""));
  }

  /** @param {string} room @param {boolean} [focus] put the cursor into the composer */
  #open(room, focus = false) {
    const timeline = this.#timelines.get(room);
    this.#active = timeline ? room : "";
    if (timeline) {
      sessionStorage.setItem("warren:room", room);
      timeline.newAfter = timeline.unread > 0 ? timeline.read : Infinity;
      if (timeline.history === "none" || timeline.history === "failed") this.#load();
    }
    this.#stuck = true;
    this.#below = 0;
    this.parts.input.value = timeline?.draft ?? "";
    this.#draw();
    this.#typed();
    if (focus && matchMedia("(hover: hover)").matches) this.parts.input.focus();
  }

  /** The newest page of the open room. Only once it is joined: what comes later is live, so there is no gap between. */
  async #load() {
    const timeline = this.#timelines.get(this.#active);
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
    const timeline = this.#timelines.get(this.#active);
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

  /** @param {string} room */
  #readSlot(room) {
    return `warren:read:${this.client.user?.id ?? ""}:${room}`;
  }

  /** Read is what the person can have seen: this room, at its end, in a visible window. */
  #markRead() {
    const timeline = this.#timelines.get(this.#active);
    if (!timeline || document.hidden || !this.#stuck || timeline.history !== "loaded") return;
    this.#below = 0;
    if (timeline.unread === 0) return;
    timeline.read = timeline.number;
    localStorage.setItem(this.#readSlot(timeline.room), String(timeline.read));
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

  /** The Streamlit page may know less than we do now: it could have been made while no gateway answered. */
  async #welcomed() {
    this.#typed();
    if (this.#asked.rooms === "null") this.#ask("refresh");
    try {
      this.#setRooms(await this.client.rooms());
    } catch {
      // the rooms that we know are followed all the same
    }
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
      if (this.#stuck) timeline.trim();
      else this.#below += fresh;
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

  /** @param {{state: string, code: number}} detail */
  #stateChanged({ state, code }) {
    const { status } = this.parts;
    const before = status.dataset.state;
    status.dataset.state = state;
    status.dataset.gateway = this.client.gateway;
    status.textContent = { online: "Online", connecting: "Connecting", reconnecting: "Reconnecting" }[state] ?? "Offline";
    this.#draw();
    clearTimeout(this.#bannerTimer);
    if (state === "connecting") this.#bannerTimer = setTimeout(() => this.#showBanner("wait", "Connecting…"), 1_000);
    if (state === "reconnecting") this.#showBanner("wait", "Reconnecting… What you write is kept and sent.");
    if (state === "online") this.#backOnline(before);
    if (state === "refused") this.#turnedAway(code);
  }

  /** @param {string | undefined} before */
  #backOnline(before) {
    if (before !== "reconnecting" && before !== "refused") return this.#showBanner("", "");
    this.#showBanner("good", "Back online");
    this.#bannerTimer = setTimeout(() => this.#showBanner("", ""), 2_500);
  }

  /** @param {number} code */
  #turnedAway(code) {
    if (code === 4503) this.#ask("expired");
    const sentence = /** @type {Record<number, string>} */ (VERDICTS)[code] ?? "The server ended the connection.";
    this.#showBanner("bad", sentence, el("button", { type: "button", class: "link", "data-act": "reconnect" }, "Reconnect"));
  }

  /** @param {string} mood @param {string} text @param {...Node} more */
  #showBanner(mood, text, ...more) {
    const { banner } = this.parts;
    banner.dataset.state = mood;
    banner.replaceChildren(...(text ? [el("span", {}, text), ...more] : []));
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
      this.#drawLog();
      this.#drawPill();
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
    const current = list.querySelector("[aria-current]");
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focused) list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
  }

  #drawHead() {
    const { title, about, input, root } = this.parts;
    const timeline = this.#timelines.get(this.#active);
    root.classList.toggle("empty", !timeline);
    title.textContent = timeline?.title ?? (this.client.state === "online" ? "Welcome" : "");
    about.textContent = timeline ? `${timeline.kind === "private" ? "Private room" : "Public room"} · ${timeline.room}` : "";
    input.placeholder = timeline ? `Message ${timeline.title}` : "";
    const unread = [...this.#timelines.values()].reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread > 99 ? "99+" : unread}) Warren` : "Warren";
  }

  #drawLog() {
    const { log } = this.parts;
    const timeline = this.#timelines.get(this.#active);
    const opened = this.#drawnRoom !== this.#active || !timeline;
    if (opened) this.#clear();
    this.#drawnRoom = this.#active;
    const anchor = this.#stuck ? null : this.#anchor();
    const changed = timeline ? this.#drawRows(timeline) : false;
    this.#drawAside(timeline);
    const anchored = anchor && this.#drawn.get(anchor.key)?.node;
    if (anchored) log.scrollTop += anchored.offsetTop - anchor.top;
    else if (changed && this.#stuck) this.#toEnd(timeline);
    if (timeline?.more && log.scrollHeight <= log.clientHeight) this.#loadOlder();
  }

  #clear() {
    this.#drawn.clear();
    this.parts.log.replaceChildren();
  }

  /** The first visible row, by key (its node may be drawn anew): what is added above must not move it. */
  #anchor() {
    const { log } = this.parts;
    for (const [key, { node }] of this.#drawn) {
      const visible = node.dataset.testid === "message" && node.offsetTop + node.offsetHeight > log.scrollTop;
      if (visible) return { key, top: node.offsetTop };
    }
    return null;
  }

  /** Bring the log's children to what the rows say; nodes of unchanged rows stay. @param {Timeline} timeline @returns {boolean} whether anything changed */
  #drawRows(timeline) {
    const { log } = this.parts;
    const rows = timeline.rows(this.client.user?.id ?? "", this.client.outbox.of(this.client.user?.id ?? "", timeline.room));
    const before = this.#drawn;
    this.#drawn = new Map();
    for (const row of rows) {
      const old = before.get(row.key);
      const now = signature(row);
      this.#drawn.set(row.key, old?.signature === now ? old : { node: rowNode(row, timeline), signature: now });
    }
    const kept = new Set([...this.#drawn.values()].map(({ node }) => node));
    for (const child of [...log.children]) {
      if (!kept.has(/** @type {HTMLElement} */ (child))) child.remove();
    }
    let next = log.firstElementChild;
    for (const node of kept) {
      if (node === next) next = next.nextElementSibling;
      else log.insertBefore(node, next);
    }
    return before.size !== kept.size || [...before.values()].some(({ node }) => !kept.has(node));
  }

  /** What stands in the log when there is nothing to read. @param {Timeline | undefined} timeline */
  #drawAside(timeline) {
    const { log } = this.parts;
    if (!timeline) return log.append(this.#noRooms());
    if (timeline.history === "failed") {
      const again = el("button", { type: "button", class: "button", "data-act": "reload" }, "Try again");
      log.prepend(el("div", { class: "aside" }, el("p", {}, timeline.problem), again));
    } else if (timeline.history !== "loaded") {
      log.prepend(el("div", { class: "aside loading", "aria-label": "Loading" }, el("i"), el("i"), el("i")));
    }
  }

  #noRooms() {
    if (this.client.state !== "online") return el("div", { class: "aside loading" }, el("i"), el("i"), el("i"));
    const act = (/** @type {string} */ name, /** @type {string} */ label) => el("button", { type: "button", class: "button", "data-act": name }, label);
    return el(
      "div",
      { class: "aside" },
      el("h2", {}, "You are in no room yet"),
      el("p", {}, "Join one that others opened, or open your own."),
      el("div", { class: "buttons" }, act("browse", "Browse rooms"), act("new", "New room")),
    );
  }

  /** To the end, or to the first unread message if that is further up. @param {Timeline | undefined} timeline */
  #toEnd(timeline) {
    const { log } = this.parts;
    const line = this.#drawn.get("new")?.node;
    const unseen = line && timeline && timeline.unread > 0 && line.offsetTop < log.scrollHeight - log.clientHeight;
    if (unseen) log.scrollTop = line.offsetTop - NEAR_PX;
    else this.#toBottom();
    this.#stuck = !unseen;
    this.#markRead();
  }

  #drawPill() {
    const { pill } = this.parts;
    pill.hidden = this.#stuck || !this.#active;
    const label = this.#below === 0 ? "Latest" : this.#below === 1 ? "1 new message" : `${this.#below} new messages`;
    if (pill.textContent !== label) pill.replaceChildren(icon("down"), label);
    pill.classList.toggle("fresh", this.#below > 0);
  }
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
