"""A person at the page: what they do, what they see, and what the browser complains of meanwhile."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Self

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, expect

COMPOSER = "[data-testid=composer]"
MESSAGE = "[data-testid=message]"
WITHIN_MS = 90_000
"""Milliseconds for anything to appear; a bound, not an expectation: the first page of a fresh installation is compiled
while it is waited for."""
expect.set_options(timeout=WITHIN_MS)
AT_ONCE = frozenset({"talk", "unmute", "role-moderator", "role-member"})
"""The actions that the panel does without asking back."""
REFUSED = re.compile(r"status of (403|404|409|422) ")
"""What Chromium writes to the console when a request is refused; a page can only show the sentence."""
OUTAGE = re.compile(r"WebSocket connection to .* failed|net::ERR_[A-Z_]+|status of 50[23]|blocked by CORS policy")
"""What Chromium itself writes to the console of a page whose server is away or not ready; no page can prevent it."""

_SEEN = """nodes => nodes.map(node => ({
    seq: Number(node.dataset.seq), key: node.dataset.key, sender: node.dataset.sender, state: node.dataset.state,
    text: node.querySelector("[data-testid=text]").textContent,
}))"""
_WATCH_BANNER = """banner => {
    window.moods = [];
    new MutationObserver(() => window.moods.push(banner.textContent ? banner.dataset.state : "")).observe(
        banner, { childList: true, attributes: true });
}"""


_WATCH_STATES = """panel => {
    window.states = {};
    const look = () => {
        for (const { dataset: { user, status } } of panel.querySelectorAll("[data-testid=member]")) {
            const seen = (window.states[user] ??= []);
            if (seen.at(-1) !== status) seen.push(status);
        }
    };
    look();
    new MutationObserver(look).observe(panel, { childList: true, subtree: true, attributes: true });
}"""
_HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    const state = hidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@dataclass(frozen=True)
class Seen:
    """A message as the page shows it."""

    seq: int
    key: str
    sender: str
    state: str
    text: str


class ChatPage:
    """One browser profile with one page. `troubles` are the console's errors and the uncaught ones."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        self.in_outage = False
        """Whether a gateway is away now by intent, so that the browser may say so."""
        self.is_refused = False
        """Whether the server refuses something now by intent, so that the browser may say so."""
        page.set_default_timeout(WITHIN_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"uncaught: {error}"))

    @classmethod
    async def arrive(cls, context: BrowserContext, url: str) -> Self:
        """Open the page."""
        person = cls(context, await context.new_page(), url)
        await person.page.goto(url)
        return person

    # --- what they do

    async def sign_in(self, name: str) -> None:
        await self.page.get_by_placeholder("Your name").fill(name)
        await self.page.get_by_role("button", name="Enter").click()
        await self.is_online()

    async def sign_out(self) -> None:
        await self.page.locator(".st-key-sign-out button").click()
        await self.page.locator(".st-key-sign-out-for-good button").click()
        await self.page.get_by_placeholder("Your name").wait_for()

    async def create_room(self, title: str, room: str) -> None:
        await self.page.locator(".st-key-new-room button").click()
        await self.page.get_by_label("Name", exact=True).fill(title)
        await self.page.get_by_label("Address", exact=True).fill(room)
        await self.page.get_by_role("button", name="Create room").click()
        await self.is_in(room)

    async def create_private_room(self, title: str) -> str:
        """Open a private room, and return the id that the server gave it."""
        await self.page.locator(".st-key-new-room button").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_text("Private: its members alone see it").click()
        await expect(dialog.get_by_label("Address", exact=True)).to_have_count(0)
        await dialog.get_by_label("Name", exact=True).fill(title)
        await dialog.get_by_role("button", name="Create room").click()
        await dialog.wait_for(state="detached")
        await expect(self.page.locator(".warren h1")).to_have_text(title)
        room = await self.page.locator("[data-testid=room-item][aria-current]").get_attribute("data-room")
        assert room
        return room

    async def browse(self) -> Locator:
        """Open the list of public rooms."""
        await self.page.locator(".st-key-browse-rooms button").click()
        await self.finder.get_by_placeholder("Find a room").wait_for()
        return self.finder

    async def join(self, room: str) -> None:
        await self.browse()
        await self.found(room).get_by_test_id("take").click()
        await self.is_in(room)

    async def open(self, room: str) -> None:
        await self.room_item(room).click()
        await self.is_in(room)

    async def say(self, text: str) -> None:
        """Write and press Enter; the message is on its way then."""
        await self.page.locator(COMPOSER).fill(text)
        await self.page.locator(COMPOSER).press("Enter")

    async def look_for_somebody(self) -> Locator:
        """Open the search for people."""
        await self.page.locator(".st-key-message-somebody button").click()
        await self.finder.get_by_placeholder("Name or id").wait_for()  # keys would be pressed for a hidden field, too
        return self.finder

    async def message_somebody(self, name: str, user: str) -> None:
        """Find a person and open the room of the two."""
        dialog = await self.look_for_somebody()
        await dialog.get_by_placeholder("Name or id").press_sequentially(name)
        await self.found(user).get_by_test_id("take").click()
        await expect(self.finder).to_be_hidden()

    async def show_panel(self) -> Locator:
        """Have the panel of the room open."""
        if not await self.panel.is_visible():
            await self.page.get_by_test_id("panel-toggle").click()
        await self.panel.wait_for()
        return self.panel

    async def invite(self, name: str, user: str) -> None:
        """Invite somebody, found by the beginning of the name."""
        panel = await self.show_panel()
        await panel.get_by_test_id("invite-search").fill(name)
        await panel.locator(f"[data-testid=invite-row][data-user='{user}']").get_by_test_id("invite").click()
        await panel.locator(f"[data-testid=take-back-row][data-user='{user}']").wait_for()

    async def select(self, user: str) -> Locator:
        """Show what may be done about a member, and return their row."""
        await self.show_panel()
        row = self.member(user)
        if await row.get_by_test_id("actions").get_attribute("aria-expanded") != "true":
            await row.get_by_test_id("actions").click()
        return row

    async def do(self, action: str, user: str, *, length: str = "", reason: str = "") -> None:
        """Do something to a member, with what the form asks for."""
        row = await self.select(user)
        await row.get_by_test_id(action).click()
        if reason:
            await row.get_by_test_id("reason").fill(reason)
        if length:
            await row.get_by_test_id("length").select_option(label=length)
        confirm = row.get_by_test_id("confirm")
        if action not in AT_ONCE:
            await confirm.click()

    async def type(self, text: str) -> None:
        """Write, and do not send it."""
        await self.page.locator(COMPOSER).press_sequentially(text)

    async def hide(self, hidden: bool = True) -> None:
        """Have the page be as if another tab were in front of it, or as if it were in front again."""
        await self.page.evaluate(_HIDE, hidden)

    async def answer(self, what: str, act: str) -> None:
        """Press a button of a notice."""
        await self.notice(what).get_by_test_id(act).click()

    # --- what they see

    @property
    def panel(self) -> Locator:
        return self.page.get_by_test_id("panel")

    @property
    def finder(self) -> Locator:
        """The dialog in which one finds rooms and people."""
        return self.page.get_by_test_id("finder")

    def found(self, id: str) -> Locator:
        """Find the row of a room or person in that dialog."""
        return self.finder.locator(f"[data-testid=found-row][data-id='{id}']")

    def member(self, user: str) -> Locator:
        return self.panel.locator(f"[data-testid=member][data-user='{user}']")

    async def is_shown(self, user: str, status: str) -> None:
        """Wait until the list of members has somebody as `online`, `away` or `offline`."""
        await expect(self.member(user)).to_have_attribute("data-status", status)
        await expect(self.member(user).get_by_test_id("state")).to_contain_text(status.capitalize())

    async def watch_states(self) -> None:
        """Have each change of somebody's state in the open panel written down from now on."""
        await self.panel.evaluate(_WATCH_STATES)

    async def states(self, user: str) -> list[str]:
        """Return what somebody was shown as since `watch_states`, in order."""
        found: list[str] = await self.page.evaluate("user => window.states[user]", user)
        return found

    @property
    def typing(self) -> Locator:
        """Where the page says who is typing."""
        return self.page.get_by_test_id("typing")

    def notice(self, what: str) -> Locator:
        """Find the notices of what is an event type, `member.invited` for one."""
        return self.page.locator(f"[data-testid=notice][data-what='{what}']")

    def notes(self, kind: str) -> Locator:
        """Find the lines of the timeline that tell of events of this type."""
        return self.page.locator(f"[data-testid=note][data-type='{kind}']")

    async def may_write(self) -> None:
        """Wait until the composer is there and takes text."""
        await expect(self.page.locator(COMPOSER)).to_be_visible()
        await expect(self.page.locator(COMPOSER)).to_be_enabled()

    async def may_not_write(self, why: str) -> None:
        """Wait until the composer is gone, and something else says why."""
        await expect(self.page.get_by_test_id("hold")).to_contain_text(why)
        await expect(self.page.locator(COMPOSER)).to_be_disabled()
        await expect(self.page.locator(COMPOSER)).to_be_hidden()

    async def is_out_of(self, room: str, why: str) -> None:
        """Wait until the room is gone from the list, nothing of it is shown, and something says why."""
        await expect(self.room_item(room)).to_have_count(0)
        await expect(self.page.get_by_test_id("gone")).to_contain_text(why)
        await expect(self.page.locator(MESSAGE)).to_have_count(0)
        await expect(self.page.locator(COMPOSER)).to_be_hidden()

    def room_item(self, room: str) -> Locator:
        return self.page.locator(f"[data-testid=room-item][data-room={room}]")

    def message(self, text: str, state: str = "stored") -> Locator:
        """Find the messages of exactly this text."""
        bubble = self.page.get_by_test_id("text").filter(has_text=re.compile(f"^{re.escape(text)}$"))
        return self.page.locator(f"{MESSAGE}[data-state={state}]").filter(has=bubble)

    async def is_in(self, room: str) -> None:
        await self.page.locator(f"[data-testid=room-item][data-room={room}][aria-current]").wait_for()
        await expect(self.page.get_by_role("dialog")).to_have_count(0)

    async def is_online(self) -> None:
        await self.page.locator("[data-testid=status][data-state=online]").wait_for()

    async def sees(self, *texts: str) -> None:
        """Wait until each text is shown once, and stored."""
        for text in texts:
            await expect(self.message(text)).to_have_count(1, timeout=WITHIN_MS)

    async def seen(self) -> list[Seen]:
        """All messages in the open room, in the order of the page."""
        found: list[dict[str, Any]] = await self.page.locator(MESSAGE).evaluate_all(_SEEN)
        return [Seen(**fields) for fields in found]

    async def token(self) -> str:
        """The token that the browser keeps."""
        return next(
            str(cookie.get("value")) for cookie in await self.context.cookies() if cookie.get("name") == "warren_token"
        )

    async def gateway(self) -> str:
        """The base URL of the gateway in use."""
        url = await self.page.get_by_test_id("status").get_attribute("data-gateway")
        assert url
        return url

    async def watch_banner(self) -> None:
        """Have all moods of the banner written down from now on: one may be too short to be caught by looking."""
        await self.page.get_by_test_id("banner").evaluate(_WATCH_BANNER)

    async def banner_was(self, *moods: str) -> None:
        """Wait until the banner has had these moods, in this order; the empty one is: nothing to say."""
        await self.page.wait_for_function(
            """wanted => {
                let next = 0;
                for (const mood of window.moods) if (mood === wanted[next]) next += 1;
                return next === wanted.length;
            }""",
            arg=list(moods),
        )

    async def id(self) -> str:
        """The user id that the server gave them, as their token says it."""
        payload = (await self.token()).split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error" or (self.in_outage and OUTAGE.search(message.text)):
            return
        if self.is_refused and REFUSED.search(message.text):
            return
        self.troubles.append(f"{message.text} ({message.location.get('url', '')})")
