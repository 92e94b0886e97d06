"""The pictures of the README: `WARREN_SCREENSHOTS=1` writes them to docs/images, else nothing is done here."""

import json
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from harness.concurrency import run_concurrently
from harness.raw_clients import RawClient, message, raw_sign_in
from harness.resilient_client import bearer, fresh_room, sign_in
from httpx import AsyncClient
from playwright.async_api import Route, expect

from e2e.chat_page import ChatPage
from e2e.conftest import Arrive

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MINUTE = timedelta(minutes=1)
ROOMS = {
    "allotment": "Allotment 14",
    "book-club": "Book club",
    "general": "General",
    "kitchen": "Kitchen rota",
    "trail-runners": "Trail runners",
}
OPENED = "allotment"
EARLIER = [
    ("Maya Lindqvist", "Morning all! The frost got two of the squash, the rest look fine."),
    ("Tomás Herrera", "Oh no. Which ones?"),
    ("Maya Lindqvist", "The two by the gate. We should have covered them, my fault."),
    ("Maya Lindqvist", "The beans are up, though, all of them."),
    ("Priya Nair", "I have six spare seedlings on the windowsill. Swap you for some compost?"),
    ("Maya Lindqvist", "Deal! You are a treasure."),
    ("Priya Nair", "For Saturday: shall we do the fence first? It needs two people and somebody with a drill."),
    ("Tomás Herrera", "I'll bring mine, and the long screws."),
    ("Tomás Herrera", "And the big hammer, it helped last time."),
    ("Tomás Herrera", "These are the posts I had in mind, they last: https://example.org/oak-posts"),
]
UNREAD = {"book-club": 3, "trail-runners": 12}
WANTED = os.environ.get("WARREN_SCREENSHOTS") == "1"


class Town:
    """The other people, who have no browser."""

    def __init__(self, http: AsyncClient, gateway: str) -> None:
        self.http = http
        self.gateway = gateway
        self.tokens: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.connections: dict[str, RawClient] = {}

    async def token(self, name: str) -> str:
        if name not in self.tokens:
            self.tokens[name], self.users[name] = await sign_in(self.http, self.gateway, name)
        return self.tokens[name]

    async def attend(self, name: str, status: str, *rooms: str) -> None:
        """Connect somebody, who is seen in these rooms as `online` or `away` from then on."""
        self.connections[name] = await raw_sign_in(self.gateway, await self.token(name))
        await self.connections[name].push(message(type="status", status=status))
        for room in rooms:
            await self.connections[name].push(message(type="join", room=room))

    async def type(self, name: str, room: str) -> None:
        """Have somebody be seen typing for a moment."""
        await self.connections[name].push(message(type="typing", room=room))

    async def ask(self, method: str, path: str, name: str, **body: str) -> None:
        headers = bearer(await self.token(name))
        answer = await self.http.request(method, self.gateway + path, json=body or None, headers=headers)
        answer.raise_for_status()

    async def build(self) -> None:
        for room, title in ROOMS.items():
            await self.ask("POST", "/v1/rooms", "Maya Lindqvist", room=room, title=title)
            for name in ("Tomás Herrera", "Priya Nair"):
                await self.ask("PUT", f"/v1/rooms/{room}/members/me", name)

    async def say(self, room: str, name: str, text: str) -> None:
        await self.ask("POST", f"/v1/rooms/{room}/messages", name, text=text)


@pytest.fixture
async def town(gateways: list[str], http: AsyncClient) -> AsyncIterator[Town]:
    """Return the other people; they leave in the end."""
    town = Town(http, gateways[0])
    yield town
    for connection in town.connections.values():
        connection.abort()


async def spread_over_time(route: Route) -> None:
    """Answer with the history as if its messages had been written over half an hour: here all are of this second."""
    response = await route.fetch()
    page = await response.json()
    for index, said in enumerate(reversed(page["messages"])):
        at = datetime.fromisoformat(said["at"]) - (index + 1) * 3.5 * MINUTE
        said["at"] = at.isoformat()
    await route.fulfill(response=response, body=json.dumps(page))


async def live(ana: ChatPage, town: Town) -> None:
    """The end of the conversation, as it happens."""
    await ana.say("Perfect. I can be there from nine with coffee and the level.")
    await ana.say("Does anybody have a post hole digger?")
    await town.say(OPENED, "Priya Nair", "My neighbour does! I'll ask him tonight.")
    await ana.sees("My neighbour does! I'll ask him tonight.")
    for room, count in UNREAD.items():
        for number in range(count):
            await town.say(room, "Tomás Herrera", f"Message {number}")
        await ana.room_item(room).get_by_test_id("unread").filter(has_text=f"{count}").wait_for()


@pytest.mark.skipif(not WANTED, reason="pictures are made on demand: WARREN_SCREENSHOTS=1")
async def test_screenshots(arrive: Arrive, town: Town) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    await town.build()
    for name, text in EARLIER:
        await town.say(OPENED, name, text)
    ana = await arrive("Ana Ruiz", timezone_id="Europe/Berlin", device_scale_factor=1)
    await ana.page.route(f"**/{OPENED}/messages?*", spread_over_time)
    for room in (*(room for room in ROOMS if room != OPENED), OPENED):
        await ana.join(room)
    await ana.sees(EARLIER[-1][1])
    for name, status in (("Maya Lindqvist", "online"), ("Tomás Herrera", "away"), ("Priya Nair", "online")):
        await town.attend(name, status, OPENED)
    await live(ana, town)
    await expect(ana.page.get_by_test_id("here")).to_have_text("4 here")
    await town.type("Maya Lindqvist", OPENED)
    await expect(ana.typing).to_have_text("Maya Lindqvist is typing")
    await picture(ana, "chat-light")
    await ana.page.emulate_media(color_scheme="dark")
    await ana.page.locator(".warren[data-theme=dark]").wait_for()
    await ana.show_panel()
    await ana.is_shown(town.users["Tomás Herrera"], "away")
    await picture(ana, "chat-dark")
    await ana.page.emulate_media(color_scheme="light")
    await ana.page.locator(".warren[data-theme=light]").wait_for()
    await ana.page.set_viewport_size({"width": 390, "height": 800})
    await ana.page.reload()
    await ana.sees(EARLIER[-1][1])
    await picture(ana, "chat-phone")


async def picture(person: ChatPage, name: str) -> None:
    await person.page.mouse.move(700, 400)
    await person.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide")


@pytest.mark.skipif(not WANTED, reason="pictures are made on demand: WARREN_SCREENSHOTS=1")
async def test_screenshots_of_people_and_notices(arrive: Arrive, town: Town) -> None:
    maya, tom, priya = await run_concurrently(
        *(arrive(name) for name in ("Maya Lindqvist", "Tomás Herrera", "Priya Nair"))
    )
    public = fresh_room("street-party")
    await maya.create_room("Street party", public)
    for person in (tom, priya):
        await person.join(public)
    room = await maya.create_private_room("Committee")
    for person in (tom, priya):
        await maya.invite(await person.id(), await person.id())
    await tom.answer("member.invited", "accept")
    await tom.is_in(room)
    await tom.say("Thanks for having me. Who books the band?")
    await maya.sees("Thanks for having me. Who books the band?")
    await maya.do("role-moderator", await tom.id())
    await maya.say("You do, now that you are a moderator.")
    await tom.sees("You do, now that you are a moderator.")
    for name in ("Jonas Weber", "Lena Fischer"):
        await town.token(name)
        await maya.invite(town.users[name], town.users[name])
        await town.ask("PUT", f"/v1/rooms/{room}/members/me", name)
    await town.attend("Lena Fischer", "away", room)
    await maya.is_shown(town.users["Lena Fischer"], "away")
    await maya.is_shown(town.users["Jonas Weber"], "offline")
    await (await maya.select(await tom.id())).get_by_test_id("role-member").wait_for()
    await picture(maya, "people-light")
    await maya.open(public)
    await maya.do("mute", await priya.id(), length="1 day", reason="Let the others finish, please")
    await priya.may_not_write("Let the others finish, please")
    await priya.page.emulate_media(color_scheme="dark")
    await priya.page.locator(".warren[data-theme=dark]").wait_for()
    await picture(priya, "notices-dark")
    await maya.open(room)
    await maya.page.set_viewport_size({"width": 390, "height": 800})
    await (await maya.select(await tom.id())).get_by_test_id("ban").click()
    await picture(maya, "people-phone")
