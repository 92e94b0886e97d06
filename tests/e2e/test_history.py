"""A room with a past: it loads upward as one scrolls, and what one reads stands still meanwhile."""

import asyncio

import pytest
from e2e.conftest import Arrive
from e2e.guests import Registry
from e2e.person import MESSAGE, Person
from harness.member import bearer, fresh_room, make_room, sign_in
from httpx import AsyncClient
from playwright.async_api import Route

MESSAGES = 150
AT_ONCE = 30
"""Requests under way together; the order of the messages is the server's."""

_PLACES = "nodes => nodes.map(node => [Number(node.dataset.seq), node.getBoundingClientRect().bottom])"


@pytest.fixture
async def long_room(gateways: list[str], http: AsyncClient) -> str:
    """Return a room of 150 messages."""
    room = fresh_room("long")
    token, _ = await sign_in(http, gateways[0], "Archivist")
    await make_room(http, gateways[0], room, token)
    url = f"{gateways[0]}/v1/rooms/{room}/messages"
    for start in range(0, MESSAGES, AT_ONCE):
        texts = [f"Number {number}" + "\nand more" * (number % 3) for number in range(start, start + AT_ONCE)]
        answers = await asyncio.gather(*(http.post(url, json={"text": text}, headers=bearer(token)) for text in texts))
        for answer in answers:
            answer.raise_for_status()
    return room


async def places(person: Person) -> dict[int, float]:
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


async def load_a_page(person: Person) -> None:
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
