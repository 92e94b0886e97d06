// @ts-check
/** The panel of a room: its people, and what one may do there. It follows the room live while it is open. */

import { el, icon, named } from "./draw.js";
import { ACTIONS, measureForm, measureOf } from "./measures.js";
import { drawRows, memberRow, showState, simpleRow } from "./panelrows.js";
import { rankOfStatus } from "./presence.js";
import { memberActions, roomRights } from "./rights.js";
import { Search } from "./search.js";
import { calledText, countsText, untilText, watchedText } from "./wording.js";

/** @typedef {import("warren-client").Entry} Entry */
/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./presence.js").Here} Here */
/** @typedef {"member" | "invited" | "banned"} State */

const RELOAD_PAUSE_MS = 500;
const TITLE_LIMIT = 200;

export class Panel {
  /** @type {Timeline | undefined} */ #timeline;
  /** @type {Record<State, Entry[]>} */ #people = { member: [], invited: [], banned: [] };
  #more = false;
  /** Bots that read the room without being in it. @type {string[]} */ #watchers = [];
  #pages = 1;
  /** Whose actions are shown; somebody who is no member gets a row of their own. @type {{user: string, name: string} | null} */ #selected = null;
  /** The action whose form is open: about the selected one, or about the room. */ #form = "";
  #busy = false;
  #loading = false;
  #stale = false;
  #me = "";
  #about = "";
  /** Who is in the room now. @type {Here | undefined} */ #here;
  /** By whose states the rows are sorted: nobody changes places while something is done about somebody. @type {Here | undefined} */ #sorted;

  /**
   * @param {import("./page.js").Parts} parts @param {import("warren-client").GatewayApi} api @param {import("./names.js").Names} names
   * @param {{talk: (user: string) => Promise<void>, left: (room: string, seq: number) => void}} owner
   *   `talk`: open the direct room with somebody; `left`: one has left the room
   */
  constructor({ panel, people, log }, api, names, owner) {
    this.panel = panel;
    this.log = log;
    this.toggle = people;
    this.api = api;
    this.names = names;
    this.owner = owner;
    this.heading = el("h2", { tabindex: -1 }, "Room");
    this.problem = el("p", { class: "problem", role: "alert", "data-testid": "problem" });
    this.about = el("div", { class: "section" });
    this.search = new Search(api, names);
    this.lists = { member: list("members"), invited: list("invited"), banned: list("banned") };
    this.sections = {
      member: section("Members", this.lists.member),
      invited: section("Invited", this.lists.invited),
      banned: section("Banned", this.lists.banned),
    };
    this.further = el("button", { type: "button", class: "button", "data-do": "further", hidden: true }, "Show more");
    this.counts = el("p", { class: "hint counts", "data-testid": "counts" });
    this.watched = el("p", { class: "hint", "data-testid": "watched", hidden: true });
    this.lists.member.before(this.watched, this.counts);
    this.sections.member.append(this.further);
    this.end = el("div", { class: "section" });
    const close = el("button", { type: "button", class: "round", "data-do": "close", "aria-label": "Close", title: "Close", "data-testid": "panel-close" }, icon("close"));
    const body = el("div", { class: "body" }, this.about, this.search.root, ...Object.values(this.sections), this.end);
    panel.append(el("header", {}, this.heading, close), this.problem, body);
    panel.addEventListener("click", (event) => this.#clicked(event));
    panel.addEventListener("submit", (event) => this.#submitted(event));
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape());
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Show the room's people, and what may be done about one of them. @param {{user: string, name: string}} [person] */
  open(person) {
    this.panel.hidden = false;
    this.toggle.setAttribute("aria-expanded", "true");
    this.#select(person ?? null);
    this.#load();
    this.heading.focus();
  }

  close() {
    if (!this.isOpen) return;
    this.panel.hidden = true;
    this.toggle.focus();
    this.toggle.setAttribute("aria-expanded", "false");
  }

  /** The room is gone, and the button that was pressed with it: the next key press is the conversation's. */
  #vanish() {
    const root = /** @type {ShadowRoot} */ (this.panel.getRootNode());
    const isFocused = this.panel.contains(root.activeElement);
    this.panel.hidden = true;
    if (isFocused) this.log.focus();
  }

  /** Something has happened to the room's people. */
  changed() {
    if (this.isOpen) this.#load();
  }

  /** The room that is open in the chat, as it is now. @param {Timeline | undefined} timeline @param {string} me @param {Here | undefined} here */
  draw(timeline, me, here) {
    this.#here = here;
    this.toggle.hidden = !timeline;
    this.toggle.setAttribute("aria-expanded", String(this.isOpen));
    const [before, rights] = [this.#about, timeline ? JSON.stringify(roomRights(timeline)) : ""];
    [this.#me, this.#about] = [me, rights];
    if (timeline?.room !== this.#timeline?.room) this.#enter(timeline);
    else if (before !== rights) this.changed(); // other lists may be seen now
    if (!timeline && this.isOpen) this.#vanish();
    if (this.isOpen) this.#draw();
  }

  // --- what is shown ----------------------------------------------------------------------------------------------

  /** @param {Timeline | undefined} timeline */
  #enter(timeline) {
    this.#timeline = timeline;
    this.#people = { member: [], invited: [], banned: [] };
    [this.#more, this.#pages, this.#watchers] = [false, 1, []];
    this.search.clear();
    this.#select(null);
    if (timeline && this.isOpen) this.#load();
  }

  /** @param {{user: string, name: string} | null} person @param {string} [form] */
  #select(person, form = "") {
    [this.#selected, this.#form] = [person, form];
    this.problem.textContent = "";
    if (this.isOpen) this.#draw();
  }

  /** Read the lists again; what changes meanwhile has them read once more, after a pause. */
  async #load() {
    this.#stale = true;
    if (this.#loading) return;
    this.#loading = true;
    try {
      while (this.#stale && this.isOpen && this.#timeline) {
        this.#stale = false;
        await this.#read(this.#timeline).catch((error) => (this.problem.textContent = error.message));
        if (this.isOpen) this.#draw();
        await new Promise((resolve) => setTimeout(resolve, RELOAD_PAUSE_MS));
      }
    } finally {
      this.#loading = false;
    }
  }

  /** @param {Timeline} timeline */
  async #read(timeline) {
    const states = /** @type {State[]} */ (roomRights(timeline).moderate ? ["member", "invited", "banned"] : ["member"]);
    const found = await Promise.all(states.map((state) => this.#pagesOf(timeline.room, state)));
    if (timeline !== this.#timeline) return;
    this.#people = { member: [], invited: [], banned: [] };
    states.forEach((state, index) => (this.#people[state] = found[index].members));
    this.#more = found[0].more;
    this.#watchers = found[0].watched_by ?? [];
    const members = found.flatMap((one) => one.members);
    for (const { user, name } of members) this.names.meet(user, name === user ? "" : name);
  }

  /** @param {string} room @param {State} state */
  async #pagesOf(room, state) {
    /** @type {Entry[]} */
    const members = [];
    let more = true;
    /** @type {string[] | undefined} */
    let watched_by;
    for (let page = 0; more && page < this.#pages; page += 1) {
      const found = await this.api.members(room, state, members.at(-1)?.user ?? "");
      members.push(...found.members);
      ({ more, watched_by } = found);
    }
    return { members, more, watched_by };
  }

  #draw() {
    const timeline = this.#timeline;
    if (!timeline) return;
    const rights = roomRights(timeline);
    this.#drawAbout(timeline, rights.rename);
    this.search.show(rights.invite, timeline.room, new Set(this.#people.member.map(({ user }) => user)));
    this.#drawMembers(timeline);
    const { invited, banned } = this.#people;
    const awaited = invited.filter(({ user }) => !this.#here?.people?.has(user)); // whoever is here has come
    this.#drawSimple("invited", rights.moderate ? awaited : [], "take-back", "Take back");
    this.#drawSimple("banned", rights.moderate ? banned : [], "lift", "Lift ban");
    this.further.hidden = !this.#more;
    this.#drawEnd(timeline, rights);
  }

  /** @param {Timeline} timeline @param {boolean} rename */
  #drawAbout({ room, title, kind, peer }, rename) {
    const called = peer ? this.names.called(peer, title) : { name: title };
    if (!changes(this.about, [room, called, rename])) return;
    this.heading.textContent = kind === "direct" ? "Conversation" : "Room";
    const name = el("input", { name: "title", value: title, maxlength: TITLE_LIMIT, "aria-label": "Name of the room", autocomplete: "off", dir: "auto", "data-testid": "title" });
    const form = el("form", { class: "inline", "data-do": "rename" }, name, el("button", { type: "submit", class: "button", "data-testid": "rename" }, "Rename"));
    this.about.replaceChildren(rename ? form : el("p", { class: "title", dir: "auto" }, ...named(called.name, called.id)));
  }

  /** @param {Timeline} timeline */
  #drawMembers(timeline) {
    const selected = this.#selected;
    const rows = this.#sort(this.#withPresent(this.#people.member));
    if (selected && rows.length && !this.#more && !rows.some(({ user }) => user === selected.user)) rows.unshift({ ...selected });
    const people = this.#here?.people;
    const rowOf = (/** @type {Entry} */ entry) => {
      const offered = memberActions(timeline, entry, this.#me);
      const chosen = entry.user === selected?.user;
      const inside = Boolean(people?.has(entry.user));
      const spoken = calledText(this.names.called(entry.user, entry.name));
      return { entry, spoken, offered, chosen, form: chosen && offered.some((action) => action === this.#form) ? this.#form : "", inside };
    };
    drawRows(
      this.lists.member, rows.map(rowOf), ({ entry }) => entry.user,
      (row) => (row.form ? `form ${row.form}` : JSON.stringify([{ ...row, inside: !row.entry.role && row.inside }, untilText(row.entry.muted)])), // no news takes away a form that is being filled in
      ({ entry, spoken, offered, chosen, form, inside }) => memberRow(entry, spoken, entry.user === this.#me, offered, chosen, form, inside),
    );
    for (const row of this.lists.member.children) this.#showState(/** @type {HTMLElement} */ (row));
    this.watched.textContent = watchedText(this.#watchers);
    this.watched.hidden = !this.#watchers.length;
    this.counts.textContent = this.#here && timeline.kind !== "direct" ? `${countsText(this.#here)}${people ? "" : ". Too many to show who."}` : "";
  }

  /** @param {HTMLElement} row of a member */
  #showState(row) {
    const people = this.#here?.people;
    showState(row, people ? (people.get(row.dataset.user ?? "")?.status ?? "offline") : undefined);
  }

  /** Whoever is here, even if the list has not come to them yet. @param {Entry[]} members @returns {Entry[]} */
  #withPresent(members) {
    const listed = new Set(members.map(({ user }) => user));
    const others = members.length ? [...(this.#here?.people?.values() ?? [])].filter(({ user }) => !listed.has(user)) : [];
    return [...members, ...others.map(({ user, name }) => ({ user, name }))];
  }

  /** Who is online comes first. @param {Entry[]} members */
  #sort(members) {
    if (!this.#selected) this.#sorted = this.#here;
    const rank = (/** @type {Entry} */ { user }) => rankOfStatus(this.#sorted?.people?.get(user)?.status);
    return members.sort((a, b) => rank(a) - rank(b));
  }

  /** @param {"invited" | "banned"} state @param {Entry[]} rows @param {string} action @param {string} label */
  #drawSimple(state, rows, action, label) {
    this.sections[state].hidden = rows.length === 0;
    const build = (/** @type {Entry} */ entry) => simpleRow(entry, action, label, entry.banned ? untilText(entry.banned) || "for ever" : "");
    drawRows(this.lists[state], rows, ({ user }) => user, (entry) => JSON.stringify([entry, untilText(entry.banned)]), build);
  }

  /** @param {Timeline} timeline @param {ReturnType<typeof roomRights>} rights */
  #drawEnd({ room, archived, peer, title }, rights) {
    const form = this.#selected ? "" : this.#form;
    if (!changes(this.end, [room, archived, rights, form])) return;
    const archive = rights.archive ? [archived ? "restore" : "archive"] : [];
    const offered = [...archive, .../** @type {const} */ (["leave", "hide", "block", "unblock"]).filter((action) => rights[action])];
    const buttons = offered.map((action) => el("button", { type: "button", class: ACTIONS[action].bad ? "button bad" : "button", "data-do": action, "data-testid": action }, ACTIONS[action].label));
    this.end.replaceChildren(form ? measureForm(form, peer ? calledText(this.names.called(peer, title)) : "") : el("div", { class: "buttons" }, ...buttons));
  }

  // --- what the person does ---------------------------------------------------------------------------------------

  /** @param {Event} event */
  #clicked(event) {
    const button = /** @type {Element} */ (event.target).closest("button[data-do]");
    if (!(button instanceof HTMLElement)) return;
    const { do: action = "", user = "" } = button.dataset;
    if (action === "close") return this.close();
    if (action === "cancel") return this.#escape();
    if (action === "further") return this.#further();
    if (action === "select") return this.#select(this.#selected?.user === user ? null : this.#entry(user));
    if (ACTIONS[action]?.question) return this.#ask(action, user);
    this.#do(action, user);
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.dataset.do) this.#do(form.dataset.do, this.#selected?.user ?? "", form);
  }

  /** Have it confirmed first. @param {string} action @param {string} user */
  #ask(action, user) {
    this.#select(user ? this.#entry(user) : null, action);
    const first = this.panel.querySelector(".measure :is(select, button)");
    if (first instanceof HTMLElement) first.focus();
  }

  /** Out of the form, then out of the selection, then out of the panel. */
  #escape() {
    if (this.#form) this.#select(this.#selected);
    else if (this.#selected) this.#select(null);
    else return this.close();
    this.#keepFocus();
  }

  #further() {
    this.#pages += 1;
    this.#load();
  }

  /** @param {string} user */
  #entry(user) {
    return this.#people.member.find((entry) => entry.user === user) ?? { user, name: this.names.of(user) };
  }

  /** Do it, and say so if it could not be done. @param {string} action @param {string} user @param {HTMLFormElement} [form] */
  async #do(action, user, form) {
    const timeline = this.#timeline;
    if (!timeline || this.#busy) return;
    this.#busy = true;
    this.problem.textContent = "";
    try {
      await this.#perform(action, timeline, user, form);
      if (form?.dataset.do !== "rename") this.#select(null);
      if (action === "invite") this.search.clear();
    } catch (error) {
      this.problem.textContent = /** @type {Error} */ (error).message;
    } finally {
      this.#busy = false;
    }
    this.changed();
    this.#keepFocus();
  }

  /** @param {string} action @param {Timeline} timeline @param {string} user @param {HTMLFormElement} [form] @returns {Promise<unknown>} */
  async #perform(action, { room, peer }, user, form) {
    const { api } = this;
    switch (action) {
      case "talk": return this.owner.talk(user);
      case "rename": return api.change(room, { title: String(form && new FormData(form).get("title")).trim() });
      case "archive": case "restore": return api.change(room, { archived: action === "archive" });
      case "invite": return api.invite(room, user);
      case "remove": case "take-back": return api.remove(room, user);
      case "ban": case "mute": return api.impose(action === "ban" ? "bans" : "mutes", room, user, measureOf(/** @type {HTMLFormElement} */ (form)));
      case "lift": return api.lift("bans", room, user);
      case "unmute": return api.lift("mutes", room, user);
      case "hide": return api.hide(peer);
      case "block": return api.block(peer);
      case "unblock": return api.unblock(peer);
      case "leave": return this.owner.left(room, (await api.leave(room)).seq ?? 0);
      default: return api.setRole(room, user, action.replace("role-", ""));
    }
  }

  /** The button that was pressed may be gone by now; the next key press should still be the panel's. */
  #keepFocus() {
    const root = /** @type {ShadowRoot} */ (this.panel.getRootNode());
    if (this.isOpen && !this.panel.contains(root.activeElement)) this.heading.focus();
  }
}

/** @param {string} name */
function list(name) {
  return el("ul", { "data-testid": name });
}

/** @param {string} title @param {HTMLElement} content */
function section(title, content) {
  return el("div", { class: "section" }, el("h3", {}, title), content);
}

/** Whether it was drawn from other values before. @param {HTMLElement} node @param {unknown[]} values */
function changes(node, values) {
  const wanted = JSON.stringify(values);
  if (node.dataset.drawn === wanted) return false;
  node.dataset.drawn = wanted;
  return true;
}
