"""A room with a past: it loads upward as one scrolls, and what one reads stands still meanwhile."""

import asyncio

import pytest
from harness.broker_client import connect_broker
from harness.concurrency import run_concurrently
from harness.resilient_client import bearer, fresh_room, make_room, sign_in
from harness.stack import Stack
from httpx import AsyncClient
from playwright.async_api import Route, expect

from e2e.chat_page import MESSAGE, ChatPage
from e2e.conftest import Arrive
from e2e.registry import Registry

MESSAGES = 150
RENAMES = 425
"""More than a page of history and another of the log have of what happened between two messages."""
AT_ONCE = 30
"""Requests under way together; the order of the messages is the server's."""

_PLACES = "nodes => nodes.map(node => [Number(node.dataset.seq), node.getBoundingClientRect().bottom])"


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


@pytest.fixture
async def long_room(gateways: list[str], http: AsyncClient) -> str:
    """Return a room of 150 messages."""
    room = fresh_room("long")
    token, _ = await sign_in(http, gateways[0], "Archivist")
    await make_room(http, gateways[0], room, token)
    url = f"{gateways[0]}/v1/rooms/{room}/messages"
    for start in range(0, MESSAGES, AT_ONCE):
        texts = [f"Number {number}" + "\nand more" * (number % 3) for number in range(start, start + AT_ONCE)]
        answers = await run_concurrently(
            *(http.post(url, json={"text": text}, headers=bearer(token)) for text in texts)
        )
        for answer in answers:
            answer.raise_for_status()
    return room


async def places(person: ChatPage) -> dict[int, float]:
    """Return the vertical place of each message's lower edge in the window, in pixels, by seq."""
    return {int(seq): bottom for seq, bottom in await person.page.locator(MESSAGE).evaluate_all(_PLACES)}


async def test_history_loads_upward_without_jumping(arrive: Arrive, registry: Registry, long_room: str) -> None:
    (guest,) = await registry.sign_in("Ana Ruiz")
    await registry.act(guest, "PUT", f"/{long_room}/members/me")
    ana = await arrive(guest)
    await ana.is_in(long_room)
    newest = MESSAGES + 1  # the room's creation is its first event, Ana's joining its last
    await ana.page.locator(f"{MESSAGE}[data-seq='{newest}']").wait_for()
    log = ana.page.get_by_test_id("messages")
    while await ana.page.get_by_text("This is the beginning of the room.").count() == 0:
        await load_a_page(ana)
    assert [message.seq for message in await ana.seen()] == list(range(2, newest + 1))
    await log.press("End")
    await ana.page.locator(f"{MESSAGE}[data-seq='{newest}']").wait_for(state="visible")


async def load_a_page(person: ChatPage) -> None:
    """Scroll to the top, and compare where things stand before and after the older messages come in."""
    asked, release = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await release.wait()
        await route.continue_()

    await person.page.route("**/messages?*before=*", hold)
    log = person.page.get_by_test_id("messages")
    await log.hover()
    await person.page.mouse.wheel(0, -100_000)
    async with asyncio.timeout(30):
        await asked.wait()
    await person.page.wait_for_function("log => log.scrollTop === 0", arg=await log.element_handle())
    before = await places(person)
    release.set()
    await person.page.locator(f"{MESSAGE}[data-seq='{min(before) - 1}']").wait_for(state="attached")
    after = await places(person)
    await person.page.unroute("**/messages?*before=*", hold)
    assert len(after) > len(before)
    assert {seq: after[seq] for seq in before} == pytest.approx(before, abs=1)


async def test_what_a_page_of_history_has_not_can_be_read_in_between(
    stack: Stack, arrive: Arrive, registry: Registry
) -> None:
    """A room that was renamed hundreds of times between two messages says so, and shows all of it, bit by bit."""
    (guest,) = await registry.sign_in("Ana Ruiz")
    room = fresh_room("renamed")
    await registry.found(room, guest)
    await registry.say(guest, room, "before")
    await rename(stack, room, guest.id)
    await registry.say(guest, room, "after")
    ana = await arrive(guest)
    await ana.sees("before", "after")
    told, notes = ana.page.get_by_test_id("cut"), ana.notes("room.renamed")
    await expect(told).to_contain_text("Not all that happened before this is shown.")
    shown = await notes.count()
    assert shown < RENAMES
    while shown < RENAMES:
        await told.get_by_test_id("fill").press("Enter")
        await expect(notes).not_to_have_count(shown)
        shown = await notes.count()
    await expect(told).to_have_count(0)
    await expect(ana.page.get_by_test_id("messages")).to_be_focused()
    assert await notes.locator("b:last-child").all_text_contents() == [f"T{number}" for number in range(RENAMES)]


async def rename(stack: Stack, room: str, owner: str) -> None:
    """Rename the room so many times as nobody may over HTTP in a moment."""
    async with connect_broker(stack.amqp_url("gateway")) as broker:
        await broker.rename(room, owner, "Ana Ruiz", [f"T{number}" for number in range(RENAMES)])
