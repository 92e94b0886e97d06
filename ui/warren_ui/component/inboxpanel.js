// @ts-check
/** One's inbox on the page: follows it, shows what is to be read, and does what one answers. */

import { Inbox, INBOX } from "./inbox.js";
import { Notices, isDismissible } from "./notices.js";

/** @typedef {import("./inbox.js").Notice} Notice */
/**
 * @typedef {{draw: () => void, visit: (room: string) => Promise<void>,
 *   befell: (notice: Notice) => void, decided: (event: import("warren-client").RoomEvent) => void}} Owner
 *   `visit` opens a room, `befell` gets what is news, `decided` what one has decided oneself, maybe on another device
 */

const AFFAIRS = ["direct.hidden", "direct.shown", "person.blocked", "person.unblocked"];

export class InboxPanel {
  /** @type {Set<number>} */ #answering = new Set();
  /** Whether what came before the subscription is still to be read. */ #isUnread = false;

  /** @param {HTMLElement} place @param {import("warren-client").WarrenClient} client @param {import("./memory.js").Memory} memory @param {Owner} owner */
  constructor(place, client, memory, owner) {
    this.client = client;
    this.owner = owner;
    this.inbox = new Inbox(memory);
    this.notices = new Notices(place);
  }

  /** @param {import("./wording.js").NameOf} nameOf @param {import("./wording.js").TitleOf} titleOf */
  draw(nameOf, titleOf) {
    this.notices.draw(this.inbox.open(), nameOf, titleOf);
  }

  /** The subscription stands. What came before it is read as history. @param {number} number @param {number} read @param {boolean} fresh */
  async joined(number, read, fresh) {
    if (fresh) {
      this.inbox.reset(number, read);
      this.#isUnread = true;
    }
    if (!this.#isUnread) return;
    const page = await this.client.history(INBOX).catch(() => null);
    if (!page) return; // the next connection tries again
    this.#isUnread = false;
    this.inbox.add(page.messages);
    this.owner.draw();
  }

  /** @param {import("warren-client").RoomEvent[]} events */
  received(events) {
    for (const event of events) if (AFFAIRS.includes(event.type)) this.owner.decided(event);
    for (const notice of this.inbox.add(events)) this.owner.befell(notice);
    this.owner.draw();
  }

  /** The person has come where a notice would lead them. @param {string} room */
  visited(room) {
    this.#dismiss(this.inbox.open().filter(({ what, of_room }) => of_room === room && what === "room.created"));
  }

  /** Why one was muted there; "" if it is not known. @param {string} room */
  muteReason(room) {
    return this.inbox.muteReason(room);
  }

  /** What the person pressed. @param {string} act @param {number} number of the notice */
  act(act, number) {
    const notice = this.inbox.get(number);
    if (act === "dismiss-all") this.#dismiss(this.inbox.open().filter(isDismissible));
    if (!notice) return;
    if (act === "dismiss") this.#dismiss([notice]);
    if (act === "accept" || act === "decline" || act === "visit") this.#answer(act, notice);
  }

  /** @param {"accept" | "decline" | "visit"} act @param {Notice} notice */
  async #answer(act, notice) {
    const { number, of_room: room } = notice;
    if (this.#answering.has(number)) return;
    this.#answering.add(number);
    try {
      if (act === "accept") await this.client.api.join(room);
      if (act === "decline") await this.client.api.leave(room);
      if (act !== "decline") await this.owner.visit(room);
      this.#dismiss([notice]);
    } catch (error) {
      this.notices.complain(number, /** @type {Error} */ (error).message);
    } finally {
      this.#answering.delete(number);
    }
    this.owner.draw();
  }

  /** @param {Notice[]} notices */
  #dismiss(notices) {
    if (notices.length === 0) return;
    this.inbox.dismiss(notices);
    this.owner.draw();
  }
}
