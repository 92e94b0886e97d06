// @ts-check
/** The chat: which rooms there are, which is open, what was read. Streamlit mounts it; its reruns only update it. */

import { asideNode } from "./aside.js";
import { Banner } from "./banner.js";
import { TOKEN_REFUSED, WarrenClient, backoff } from "warren-client";
import { PresenceSync } from "./presencesync.js";
import { Composer } from "./composer.js";
import { InboxPanel } from "./inboxpanel.js";
import { Finder } from "./finder.js";
import { Head } from "./head.js";
import { History } from "./history.js";
import { INBOX } from "./inbox.js";
import { Log } from "./log.js";
import { Memory } from "./memory.js";
import { Midnight } from "./midnight.js";
import { Names } from "./names.js";
import { isDark, skeleton } from "./page.js";
import { Panel } from "./panel.js";
import { blockedLookup, peopleLookup, roomLookup } from "./lookups.js";
import { Rooms } from "./rooms.js";
import { RoomList, byImportance, inListOrder } from "./roomlist.js";
import { SafeStorage } from "./storage.js";
import { endOf } from "./timeline.js";
import { goneText } from "./wording.js";

/** @typedef {import("warren-client").RoomInfo} RoomInfo */
/** @typedef {import("warren-client").Person} Person */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/**
 * @typedef {{gateways: string[], token: string, user: Person | null, rooms: RoomInfo[] | null,
 *   active: {room: string, turn: number} | null, find?: {what: string, turn: number} | null}} Data
 *   `rooms` is null while the server could not ask; `active` says which room to open, and `find`
 *   what to let the person look for, once for each `turn`.
 */
/** @typedef {(name: string, value: unknown) => void} Trigger */

/** How often rooms above the connection's limit, which are not live, are asked for news. */
const OVERFLOW_MS = 60_000;

export class Chat {
  /** @type {Trigger} */ #trigger = () => {};
  #active = "";
  /** Why the room that was open can't be read any more; empty if none was. @type {import("./wording.js").Wording} */ #gone = [];
  /** With whom the conversation was that has just been hidden. */ #hidden = "";
  #asked = { rooms: "", turn: -1, find: -1 };
  #lists = { asked: 0, heard: 0 };
  #scheduled = false;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #again;
  #focus = () => this.#attend();
  #midnight = new Midnight(() => this.#draw());
  #poll = setInterval(() => this.client.overflows && !document.hidden && this.#askRooms(), OVERFLOW_MS);

  /** @param {ShadowRoot} parent @param {Data} data */
  constructor(parent, data) {
    this.turn = 0;
    this.token = data.token;
    this.parts = skeleton();
    const tab = new SafeStorage(() => sessionStorage);
    this.client = new WarrenClient({ gateways: data.gateways, token: data.token, user: data.user, storage: tab });
    this.memory = new Memory(tab, () => this.#me);
    this.names = new Names(this.client.api, () => this.#draw());
    this.rooms = new Rooms(this.memory, this.names);
    this.presenceSync = new PresenceSync(this.parts.typing, this.client, this.names, {
      changed: () => this.#draw(), isBlocked: (user) => this.rooms.isBlocked(user),
    });
    this.history = new History(this.client, () => this.#draw());
    this.banner = new Banner(this.parts);
    this.list = new RoomList(this.parts.list);
    this.head = new Head(this.parts);
    this.inboxPanel = new InboxPanel(this.parts.notices, this.client, this.memory, {
      draw: () => this.#draw(), visit: (room) => this.#visit(room), befell: (notice) => this.#befell(notice),
      decided: (event) => this.#decided(event),
    });
    this.panel = new Panel(this.parts, this.client.api, this.names, {
      talk: (user) => this.#speak(user),
      left: (room, seq) => this.#dismiss(room, seq, "member.left"),
    });
    this.finder = new Finder(this.parts.root);
    this.log = new Log(this.parts, { older: () => this.history.older(this.#current), seen: () => this.#markRead() });
    this.composer = new Composer(this.parts, this.memory, {
      ready: () => Boolean(this.client.user), send: (text) => this.#send(text), typed: () => this.presenceSync.typed(this.#active),
    });
    this.#listen();
    this.#hearClient();
    parent.append(this.parts.root);
    this.composer.refresh();
    this.#draw();
    this.client.start();
  }

  /** Does this chat serve the session of that data, perhaps with a newer token? @param {Data} data */
  serves({ token, user }) {
    return token === this.token || !user || user.id === this.#me;
  }

  /** A rerun of the Streamlit script. @param {Data} data @param {Trigger} trigger */
  update(data, trigger) {
    this.#trigger = trigger;
    if (data.token !== this.token && data.user) this.client.renew((this.token = data.token));
    const rooms = JSON.stringify(data.rooms);
    if (data.rooms && rooms !== this.#asked.rooms) this.#listed(data.rooms);
    this.#asked.rooms = rooms;
    if (!data.rooms) this.#askRoomsLater();
    if (data.active && data.active.turn !== this.#asked.turn) {
      this.#asked.turn = data.active.turn;
      this.#open(data.active.room);
    }
    if (data.find && data.find.turn !== this.#asked.find) {
      this.#asked.find = data.find.turn;
      this.#find(data.find.what);
    }
    const background = getComputedStyle(this.parts.root).getPropertyValue("--st-background-color");
    this.parts.root.dataset.theme = isDark(background) ? "dark" : "light";
  }

  destroy() {
    this.client.stop();
    this.presenceSync.stop();
    this.banner.stop();
    this.log.stop();
    this.composer.stop();
    this.#midnight.stop();
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
    return this.rooms.get(this.#active);
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
    if (act === "reload") this.history.load(this.#current);
    if (act === "fill") this.history.fill(this.#current, Number(key));
    if (act === "panel") this.panel.isOpen ? this.panel.close() : this.panel.open();
    if (act === "person") this.panel.open({ user: key, name: this.names.of(key) });
    if (act === "new") this.#ask(act);
    if (act === "speak") this.#speak(key).catch(() => this.#draw()); // it can be tried again
    if (act === "unblock") this.#unblock();
    if (act === "browse" || act === "talk") this.#find(act);
    if (act) this.inboxPanel.act(act, Number(key));
  }

  /** Let the person find a room, or somebody. @param {string} what */
  #find(what) {
    const { api } = this.client;
    const visit = (/** @type {string} */ room) => this.#visit(room);
    const isMember = (/** @type {string} */ room) => Boolean(this.rooms.get(room));
    if (what === "browse") this.finder.open(roomLookup(api, isMember, visit));
    if (what === "talk") this.finder.open(peopleLookup(api, () => this.#me, visit, () => this.#find("blocked")));
    if (what === "blocked") this.finder.open(blockedLookup(api));
  }

  /** Open the direct room with somebody; one that was hidden is shown again by that. @param {string} user */
  async #speak(user) {
    await this.#visit((await this.client.api.direct(user)).room);
  }

  /** Let the other one of the open room write again. */
  async #unblock() {
    this.composer.complain("");
    await this.client.api.unblock(this.#current?.peer ?? "").catch((error) => this.composer.complain(/** @type {Error} */ (error).message));
    this.#draw();
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

  /** @param {RoomInfo[]} list @param {boolean} [partial] whether rooms that it has not stay */
  #setRooms(list, partial) {
    const before = this.#current;
    this.rooms.set(list, this.#me, partial);
    const now = this.#current;
    if (before && !now) this.#close(before, "");
    else if (now?.isHidden) this.#close(now, "direct.hidden");
    else if (!before && !this.#gone.length) this.#openAny();
    else this.#follow();
    this.#draw();
  }

  /** The Streamlit page lists these. It may have asked before we joined the last one, so what it misses is asked for. @param {RoomInfo[]} list */
  #listed(list) {
    this.#setRooms(list, true);
    if (this.rooms.all.length > list.length) this.#askRooms();
  }

  /** Be subscribed to the inbox, and to the rooms that mean most. */
  #follow() {
    const rooms = byImportance(this.rooms.all, this.#active, this.memory.recent());
    this.client.follow([INBOX, ...rooms.map(({ room }) => room)]);
  }

  /** Ask for the rooms ourselves: the Streamlit page may know less than we do now. If it knew none, it is to ask again. */
  async #askRooms() {
    clearTimeout(this.#again);
    const [before, turn] = [this.rooms.version, (this.#lists.asked += 1)];
    try {
      const rooms = await this.client.api.rooms();
      if (before === this.rooms.version && turn > this.#lists.heard) {
        this.#lists.heard = turn;
        this.#setRooms(rooms);
      }
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
    const [first] = inListOrder(this.rooms.shown);
    const last = this.rooms.get(this.memory.room);
    this.#open(last && !last.isHidden ? last.room : (first?.room ?? ""));
  }

  /** @param {string} room @param {boolean} [focus] put the cursor into the composer */
  #open(room, focus = false) {
    const timeline = this.rooms.get(room);
    this.#active = timeline ? room : "";
    if (timeline) {
      [this.#gone, this.#hidden] = [[], ""];
      this.inboxPanel.visited(room);
      this.#learn(timeline);
      this.memory.opened(room);
      timeline.newAfter = timeline.unread > 0 ? timeline.read : Infinity;
      if (timeline.history === "none" || timeline.history === "failed") this.history.load(this.#current);
    }
    this.#follow();
    this.log.open();
    this.#draw();
    this.composer.open(this.#active);
    if (focus) this.composer.focus();
  }

  /** Open a room that may be too new to be in our list. @param {string} room */
  async #visit(room) {
    const timeline = this.rooms.get(room);
    if (timeline?.isHidden) await this.client.api.show(timeline.peer);
    if (!timeline || timeline.isHidden) this.#setRooms(await this.client.api.rooms());
    this.#open(room, true);
  }

  /** Ask what one is in the room: lists do not say whether one is muted. @param {Timeline} timeline */
  async #learn(timeline) {
    const details = await this.client.api.room(timeline.room).catch(() => null); // the writer judges in any case
    if (!details || this.rooms.get(timeline.room) !== timeline) return;
    timeline.learn(details, this.#me);
    this.#draw();
  }

  /** One is no longer in the room: nothing of it is shown any more. @param {string} room @param {number} seq of the end @param {string} because */
  #dismiss(room, seq, because) {
    const timeline = this.rooms.drop(room, seq);
    this.client.forget(room);
    if (!timeline) return;
    if (room === this.#active) this.#close(timeline, because);
    else this.#follow();
    this.#draw();
  }

  /** The open room is none of ours any more. No other is opened in its place: what is being typed was meant for this one. @param {Timeline} timeline @param {string} because */
  #close(timeline, because) {
    this.#gone = goneText(this.rooms.called()(timeline), because);
    this.#hidden = because === "direct.hidden" ? timeline.peer : "";
    this.#open("");
  }

  /** Something befell us elsewhere, just now, or another device of ours accepted an invitation. @param {import("./inbox.js").Notice} notice */
  #befell({ what, of_room: room, of_seq: seq }) {
    const timeline = this.rooms.get(room);
    const ends = what === "member.removed" || what === "member.banned";
    if (ends && timeline && !(timeline.seq > seq && this.client.isJoined(room))) this.#dismiss(room, seq, what);
    if (what === "room.created" || (what === "member.joined" && !timeline)) this.#askRooms();
    if (timeline && !ends && !this.client.isJoined(room)) this.#learn(timeline);
  }

  /** One has hidden or blocked somebody, or lifted that, here or elsewhere. @param {import("warren-client").RoomEvent} event */
  #decided(event) {
    const timeline = this.rooms.decide(event);
    if (timeline && timeline === this.#current && timeline.isHidden) this.#close(timeline, event.type);
    this.#askRooms(); // an answer that was under way says what was before
    this.#follow();
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
      state: (news) => this.#stateChanged(news),
      welcome: () => this.#welcomed(),
      joined: (detail) => this.#joined(detail),
      events: (detail) => this.#received(detail),
      stored: ({ room, event }) => this.#stored(room, event),
      outbox: () => this.#draw(),
      denied: ({ room }) => this.#dismiss(room, this.rooms.get(room)?.seq ?? 0, ""),
      left: ({ room, seq, because }) => this.#dismiss(room, seq, because),
      expiring: () => this.#ask("refresh"), // a rerun brings a newer token, if there is one
    };
    for (const [type, handle] of Object.entries(handlers)) {
      this.client.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    }
  }

  #welcomed() {
    this.names.meet(this.#me, this.client.user?.name); // who looks like oneself is told, too
    this.composer.refresh();
    this.#askRooms();
  }

  /** @param {{room: string, number: number, read: number, fresh: boolean}} detail */
  #joined({ room, number, read, fresh }) {
    if (room === INBOX) return this.#inboxJoined(number, read, fresh);
    const timeline = this.rooms.get(room);
    if (!timeline) return;
    timeline.number = fresh ? number : Math.max(timeline.number, number);
    timeline.read = Math.max(timeline.read, read);
    if (fresh) timeline.reset();
    if (fresh && room === this.#active) this.#learn(timeline);
    if (room === this.#active && timeline.history !== "loaded") this.history.load(this.#current);
    this.#draw();
  }

  /** What one decides from now on is told; what one decided before is in the list of rooms. @param {number} number @param {number} read @param {boolean} fresh */
  #inboxJoined(number, read, fresh) {
    this.inboxPanel.joined(number, read, fresh);
    if (fresh) this.#askRooms();
  }

  /** @param {{room: string, events: import("warren-client").RoomEvent[]}} detail */
  #received({ room, events }) {
    if (room === INBOX) return this.inboxPanel.received(events);
    const timeline = this.rooms.get(room);
    if (!timeline) return;
    const fresh = events.filter((event) => event.type === "message" && (event.number ?? 0) > timeline.number).length;
    for (const { sender, name } of events) this.names.meet(sender, name);
    timeline.add(events, this.#me);
    const end = endOf(events, this.#me);
    if (end) return this.#dismiss(room, end.seq, end.type);
    if (room === this.#active) this.#arrived(timeline, fresh);
    if (room === this.#active && events.some(({ type }) => type !== "message")) this.panel.changed();
    this.#draw();
  }

  /** Our own message, known by its ack. @param {string} room @param {import("warren-client").RoomEvent} event */
  #stored(room, event) {
    const timeline = this.rooms.get(room);
    timeline?.keep([event]);
    if (timeline && room === this.#active) this.#arrived(timeline, 0);
    this.#draw();
  }

  /** @param {Timeline} timeline the open one @param {number} fresh how many messages came */
  #arrived(timeline, fresh) {
    if (this.log.stuck) timeline.trim();
    this.log.arrived(fresh);
    this.#markRead();
  }

  /** @param {import("warren-client").Events["state"]} news */
  #stateChanged(news) {
    const { state, code } = news;
    this.banner.show(news, this.client.gateway);
    if (state === "refused" && code === TOKEN_REFUSED) this.#ask("expired");
    this.#draw();
  }

  /** Draw soon, once for all that changes now. (Not by animation frame: those stop in a hidden tab, its title should not.) */
  #draw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      const timeline = this.#current;
      const online = this.client.state === "online";
      const titleOf = this.rooms.called();
      const called = timeline ? titleOf(timeline) : { name: online && !this.#gone.length ? "Welcome" : "" };
      const nameOf = (/** @type {string} */ user, /** @type {string | undefined} */ name) => this.names.called(user, name);
      const here = timeline && this.presenceSync.here(timeline.room);
      const growing = timeline ? this.presenceSync.growingIn(timeline.room) : [];
      this.presenceSync.draw(timeline);
      this.list.draw(this.rooms.shown, this.#active, titleOf, (one) => this.presenceSync.peer(one)?.status);
      this.head.draw(timeline, called, this.rooms.shown, { here, peer: timeline && this.presenceSync.peer(timeline) });
      this.inboxPanel.draw(nameOf, titleOf);
      this.panel.draw(timeline, this.#me, here);
      this.composer.judge(timeline, timeline ? this.inboxPanel.muteReason(timeline.room) : "");
      const waiting = timeline ? this.client.outbox.of(this.#me, timeline.room) : [];
      const rows = timeline?.rows(this.#me, [...growing, ...waiting], nameOf) ?? [];
      this.log.draw(timeline, rows, called, this.#gone.length || online ? asideNode(this.#gone, this.#hidden) : undefined);
    });
  }
}
