"""Finding rooms and people: the list follows what one types, and never moves under the pointer."""

import asyncio

import pytest
from harness.resilient_client import fresh_room
from playwright.async_api import Route, expect

from e2e.chat_page import ChatPage
from e2e.conftest import Arrive
from e2e.registry import Registry


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


async def found(person: ChatPage) -> list[str]:
    return await person.finder.locator("[data-testid=found-row] .name").all_text_contents()


async def test_rooms_are_filtered_while_one_types(arrive: Arrive, registry: Registry) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    mark = fresh_room("find").replace("find-", "")
    rooms = {title: fresh_room("find") for title in (f"Café {mark}", f"Cellar {mark}", f"Garden {mark}")}
    for title, room in rooms.items():
        await registry.found(room, ben, title=title)
    person = await arrive(ana)
    await person.browse()
    await person.finder.get_by_test_id("find").press_sequentially(f"CAFE {mark}")
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(1)
    assert await found(person) == [f"Café {mark}"]
    await expect(person.finder.get_by_test_id("find-said")).to_have_text("1 room")
    await person.found(rooms[f"Café {mark}"]).get_by_test_id("take").click()  # the first click, with the field focused
    await person.is_in(rooms[f"Café {mark}"])
    await person.browse()
    await person.finder.get_by_test_id("find").press_sequentially(mark)
    await expect(person.found(rooms[f"Café {mark}"]).get_by_test_id("take")).to_have_text("Open")
    await expect(person.found(rooms[f"Cellar {mark}"]).get_by_test_id("take")).to_have_text("Join")
    await person.page.keyboard.press("Enter")
    await expect(person.found(rooms[f"Café {mark}"]).get_by_test_id("take")).to_be_focused()
    await person.page.keyboard.press("ArrowDown")
    await person.page.keyboard.press("Enter")
    await person.is_in(rooms[f"Cellar {mark}"])
    await person.browse()
    await person.page.keyboard.press("Escape")
    await expect(person.finder).to_be_hidden()


async def test_the_list_does_not_change_under_the_pointer(arrive: Arrive, registry: Registry) -> None:
    """The answer to the last letters comes when the pointer has come to a row: it stays until the pointer has left."""
    name = f"Zoe{fresh_room('x').replace('x-', '')}"
    ana, first, second = await registry.sign_in("Ana Ruiz", f"{name} A", f"{name} B")
    person = await arrive(ana)
    late = asyncio.Event()

    async def hold(route: Route) -> None:
        await late.wait()
        await route.continue_()

    field = (await person.look_for_somebody()).get_by_test_id("find")
    await field.press_sequentially(name)
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(2)
    await person.page.route("**/v1/people?q=*B", hold)
    async with person.page.expect_request("**/v1/people?q=*B"):
        await field.press_sequentially(" B")
    button = person.found(first.id).get_by_test_id("take")
    await button.hover()
    async with person.page.expect_response("**/v1/people?q=*B"):
        late.set()
    await person.page.evaluate("() => new Promise(requestAnimationFrame)")
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(2)
    await person.finder.get_by_role("heading").hover()
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(1)
    await person.found(second.id).get_by_test_id("take").click()
    await expect(person.page.locator(".warren h1")).to_have_text(f"{name} B")


async def test_who_has_signed_in_is_found_and_nobody_else_offered(arrive: Arrive, registry: Registry) -> None:
    name = f"Yan{fresh_room('x').replace('x-', '')}"
    ana, newcomer = await registry.sign_in("Ana Ruiz", name)
    person = await arrive(ana)
    await person.look_for_somebody()
    await person.finder.get_by_test_id("find").fill(f"{name}-nobody")
    await expect(person.finder.get_by_test_id("find-said")).to_have_text("Nobody of that name has signed in yet.")
    assert await found(person) == []
    await person.finder.get_by_test_id("find").fill(ana.id)
    await expect(person.finder.get_by_test_id("find-said")).to_have_text("Nobody of that name has signed in yet.")
    await person.finder.get_by_test_id("find-close").click()
    await person.message_somebody(name.lower(), newcomer.id)
    await expect(person.page.locator(".warren h1")).to_have_text(name)
