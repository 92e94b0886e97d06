"""Who is there: people see each other come, type, go idle and leave, and nobody flickers who only reloads."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from harness.concurrency import run_concurrently
from harness.raw_clients import message, raw_sign_in
from harness.resilient_client import fresh_room, join_room, sign_in
from harness.stack import Stack, replaced
from harness.tuned_services import end_grace, presence_with_long_grace
from httpx import AsyncClient
from playwright.async_api import Locator, WebSocketRoute, expect
from warren_local.service import Service

from e2e.chat_page import COMPOSER, ChatPage
from e2e.conftest import Arrive, Meet

IDLE = "05:01"
HIDDEN = "00:11"
TYPES_ON = "00:04"
"""Longer than two notices of typing are apart, shorter than one holds."""
STOPPED_TYPING = "00:06"
REPAIR = "00:06"
"""Longer than two joins of a room for its state are apart."""


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


async def two_in_a_room(meet: Meet, other: str = "Ben Okafor") -> tuple[ChatPage, ChatPage, str]:
    """Return two people who are alone in a room and know it; the first has its panel open."""
    (ana, ben), room = await meet("Ana Ruiz", other, own_clock=True)
    for person in (ana, ben):
        await expect(here(person)).to_have_text("2 here")
    await ana.show_panel()
    return ana, ben, room


def here(person: ChatPage) -> Locator:
    """Where the head says how many are in the room."""
    return person.page.get_by_test_id("here")


async def test_two_windows_see_each_other_come_go_idle_and_leave(meet: Meet) -> None:
    ana, ben, room = await two_in_a_room(meet)
    user = await ben.id()
    counts = ana.page.get_by_test_id("counts")
    await ana.is_shown(user, "online")
    await expect(counts).to_have_text("2 online")

    await ben.page.clock.fast_forward(IDLE)
    await ana.is_shown(user, "away")
    await expect(counts).to_have_text("1 online, 1 away")
    await ben.page.mouse.move(200, 300)
    await ana.is_shown(user, "online")
    await ben.hide()
    await ben.page.clock.fast_forward(HIDDEN)
    await ana.is_shown(user, "away")
    await ben.hide(False)
    await ana.is_shown(user, "online")

    await ana.do("talk", user)
    head = ana.page.get_by_test_id("about")
    item = ana.page.get_by_test_id("room-item").filter(has_text="Ben Okafor")
    await expect(head).to_have_text("Online")
    await expect(item).to_have_accessible_name("Online Ben Okafor")
    await ben.page.clock.fast_forward(IDLE)
    await expect(head).to_have_text("Away")
    await expect(item).to_have_accessible_name("Away Ben Okafor")
    await ben.page.close()
    await expect(head).to_have_text("Last seen just now")
    await expect(item).to_have_accessible_name("Offline Ben Okafor")
    await ana.page.clock.fast_forward(IDLE)
    await expect(head).to_have_text("Last seen 5 minutes ago")

    await ana.open(room)
    await ana.is_shown(user, "offline")
    await expect(here(ana)).to_have_text("1 here")


async def test_typing(meet: Meet) -> None:
    ana, ben, room = await two_in_a_room(meet, "<b>Ben</b> Okafor")
    said = "<b>Ben</b> Okafor is typing"
    frames = sent_from_now(ben)
    await ben.page.reload()
    await expect(here(ben)).to_have_text("2 here")
    before = await ana.page.get_by_test_id("messages").bounding_box()
    await ben.type("Hello")
    await expect(ana.typing).to_have_text(said)
    await expect(ben.typing).to_have_text("")
    assert await ana.page.get_by_test_id("messages").bounding_box() == before
    assert frames("typing") == [{"type": "typing", "room": room}]  # once for five letters

    await ben.page.locator(COMPOSER).press("Enter")
    await ana.sees("Hello")
    assert await ana.typing.inner_text() == ""  # not when it would have expired

    for person in (ana, ben):
        await person.page.clock.fast_forward(TYPES_ON)
    await ben.type("And")
    await expect(ana.typing).to_have_text(said)
    await ana.page.clock.fast_forward(STOPPED_TYPING)
    await expect(ana.typing).to_have_text("")
    await ben.page.clock.fast_forward(TYPES_ON)
    await ben.page.locator(COMPOSER).fill("")
    assert len(frames("typing")) == 2


def sent_from_now(person: ChatPage) -> Callable[[str], list[dict[str, Any]]]:
    """Write down what the page sends from its next load on, and return how to look up the frames of a type."""
    frames: list[dict[str, Any]] = []

    def keep(data: str | bytes) -> None:
        if isinstance(data, str) and data.startswith("{"):  # Streamlit's own are binary
            frames.append(json.loads(data))

    person.page.on("websocket", lambda socket: socket.on("framesent", keep))
    return lambda kind: [frame for frame in frames if frame["type"] == kind]


@pytest.fixture
async def presence(stack: Stack) -> AsyncIterator[Service]:
    """Have a replica instead of the stack's own that lets people be away for as long as a slow machine takes."""
    async with replaced(stack.presence, presence_with_long_grace(stack)) as found:
        yield found


async def test_a_reload_and_a_closed_tab_are_no_leave(
    presence: Service, meet: Meet, gateways: list[str], http: AsyncClient
) -> None:
    ana, ben, room = await two_in_a_room(meet)
    token, cid = await sign_in(http, gateways[0], "Cid Mora")
    await join_room(http, gateways[0], room, token)
    connection = await raw_sign_in(gateways[0], token)
    await connection.push(message(type="join", room=room))
    for user in (await ben.id(), cid):
        await ana.is_shown(user, "online")
    await ana.watch_states()

    second = await ben.context.new_page()
    await second.goto(ben.url)
    await expect(second.get_by_test_id("here")).to_have_text("3 here")
    await run_concurrently(second.close(), ben.page.reload())
    await expect(here(ben)).to_have_text("3 here")
    await ben.page.clock.fast_forward(IDLE)
    await ana.is_shown(await ben.id(), "away")  # so it is known that he is back
    connection.abort()
    end_grace(presence)
    await ana.is_shown(cid, "offline")
    assert await ana.states(cid) == ["online", "offline"]
    assert await ana.states(await ben.id()) == ["online", "away"]


async def test_a_large_room_a_lost_diff_and_a_server_that_wants_less(arrive: Arrive, ui: str) -> None:
    """More people than a browser test can gather: what the gateway says is written by hand."""
    ana = await arrive("Ana Ruiz", own_clock=True, at=ui)
    gateway = await between(ana)
    room = fresh_room("large")
    await ana.create_room("Stadium", room)
    await expect(here(ana)).to_have_text("1 here")
    await ana.show_panel()
    me = present(await ana.id())
    gateway.is_muted = True
    gateway.present(room, version=500, state=[me, present("ben"), present("cid", "away")])
    await expect(here(ana)).to_have_text("3 here")
    await ana.is_shown("cid", "away")
    gateway.present(room, version=501, diff=[present("cid", "offline")])
    await expect(here(ana)).to_have_text("2 here")
    gateway.present(room, version=502, count={"online": 231, "away": 1_040})
    await expect(here(ana)).to_have_text("231 online, 1,040 away")
    await expect(ana.page.get_by_test_id("counts")).to_contain_text("231 online, 1,040 away")
    await expect(ana.panel.get_by_test_id("state")).to_have_text([""])
    gateway.present(room, version=503, state=[me, present("ben")])
    await expect(here(ana)).to_have_text("2 here")

    gateway.is_muted = False
    before = gateway.heard.copy()
    gateway.present(room, version=505, diff=[present("cid")])  # 504 was lost
    await ana.page.clock.fast_forward(REPAIR)
    await expect(here(ana)).to_have_text("1 here")  # as the real gateway tells it anew
    (join,) = [frame for frame in gateway.heard[len(before) :] if frame["type"] == "join"]
    assert join["room"] == room
    assert join["since"] >= 1

    await ana.page.clock.fast_forward(IDLE)
    await ana.is_shown(me["user"], "away")
    gateway.say(type="error", code="too_many", detail="too many changes", temporary=True, retry_after=30)
    await ana.page.clock.fast_forward("00:29")
    assert len(gateway.statuses()) == 1
    await ana.page.clock.fast_forward("00:02")
    await gateway.hears(lambda: gateway.statuses() == ["away", "away"])
    await gateway.end()
    await gateway.hears(lambda: gateway.statuses() == ["away", "away", "away"])  # the new connection knows it, too
    await ana.is_online()


def present(user: str, status: str = "online") -> dict[str, str]:
    return {"user": user, "name": user.capitalize(), "status": status}


class Between:
    """Stands between page and gateway: writes down what the page says, adds frames, keeps real presence back."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.is_muted = False
        self._more = asyncio.Event()
        self._page: WebSocketRoute | None = None

    def connect(self, page: WebSocketRoute) -> None:
        self._page = page
        gateway = page.connect_to_server()

        def up(data: str | bytes) -> None:
            self.heard.append(json.loads(data))
            self._more.set()
            gateway.send(data)

        def down(data: str | bytes) -> None:
            if not (self.is_muted and json.loads(data)["type"] == "presence"):
                page.send(data)

        page.on_message(up)
        gateway.on_message(down)

    def present(self, room: str, **fields: object) -> None:
        self.say(type="presence", room=room, **fields)

    def say(self, **fields: object) -> None:
        assert self._page
        self._page.send(json.dumps(fields))

    def statuses(self) -> list[str]:
        return [frame["status"] for frame in self.heard if frame["type"] == "status"]

    async def hears(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not wanted():
                self._more.clear()
                await self._more.wait()

    async def end(self) -> None:
        """Close the connection as a gateway does that stops."""
        assert self._page
        await self._page.close(code=4001)


async def between(person: ChatPage) -> Between:
    """Load the page again, with a Between on its connections."""
    found = Between()
    await person.page.route_web_socket("**/v1/ws", found.connect)
    await person.page.reload()
    await person.is_online()
    return found


async def test_of_two_guests_with_one_name_each_is_shown_with_the_id(meet: Meet) -> None:
    (ana, ben, twin), _ = await meet("Ana Ruiz", "Ben Okafor", "Ben Okafor")
    ids = [await person.id() for person in (ben, twin)]
    await expect(here(ana)).to_have_text("3 here")
    await ben.type("Hello")
    await expect(ana.typing).to_have_text(f"Ben Okafor {ids[0]} is typing")
    await ben.say("Hello from Ben")
    await twin.say("Hello from the other one")
    authors = ana.page.locator(".author")
    await expect(authors).to_have_text([f"Ben Okafor {user}" for user in ids])
    await expect(authors.first).to_have_accessible_name(f"Ben Okafor {ids[0]}")
    await expect(ben.page.locator(".author")).to_have_text([f"Ben Okafor {ids[1]}"])
    await ana.say("Hello both")
    await expect(ben.page.locator(".author").last).to_have_text("Ana Ruiz")
    await expect(ana.page.get_by_test_id("note").filter(has_text=ids[0])).to_have_text(f"Ben Okafor {ids[0]} joined")
