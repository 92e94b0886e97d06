"""Being rid of a conversation, and of a person: hiding and blocking, and the ways back."""

import pytest
from playwright.async_api import Locator, expect

from e2e.chat_page import ChatPage
from e2e.conftest import Arrive
from e2e.registry import Guest, Registry


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


async def press(button: Locator) -> None:
    """Press it as somebody does who has no pointer."""
    await button.wait_for()
    await button.focus()
    await expect(button).to_be_focused()
    await button.page.keyboard.press("Enter")


async def action(person: ChatPage, name: str) -> None:
    """Do something about the open conversation, with the keyboard alone."""
    await person.show_panel()
    await press(person.panel.get_by_test_id(name))


def said(person: ChatPage) -> Locator:
    return person.page.get_by_test_id("gone")


async def test_a_hidden_conversation_comes_back_with_the_next_message(arrive: Arrive, registry: Registry) -> None:
    """On each of one's devices: on the one it was hidden at, on another, and after a reload."""
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    room = await registry.talk(ben, ana)
    devices = laptop, phone = [await arrive(ana) for _ in range(2)]
    for device in devices:
        await device.open(room)
    await action(laptop, "hide")
    for device in devices:
        await expect(device.room_item(room)).to_have_count(0)
        await expect(said(device)).to_contain_text(
            "Your conversation with Ben Okafor is hidden until one of you writes"
        )
        await expect(device.page.locator(".warren h1")).to_have_text("")
    await expect(laptop.page.get_by_test_id("messages")).to_be_focused()
    await laptop.page.reload()
    await laptop.is_online()
    await expect(laptop.room_item(room)).to_have_count(0)
    await registry.say(ben, room, "One more thing")
    for device in devices:
        await expect(device.room_item(room).get_by_test_id("unread")).to_contain_text("1")
    await expect(phone.page).to_have_title("(1) Warren")
    await phone.open(room)
    await phone.sees("One more thing")


async def test_a_hidden_conversation_can_be_shown_again(arrive: Arrive, registry: Registry) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    room = await registry.talk(ben, ana)
    person = await arrive(ana)
    await person.open(room)
    await action(person, "hide")
    await press(said(person).get_by_test_id("show-again"))
    await person.is_in(room)
    await action(person, "hide")
    await expect(person.room_item(room)).to_have_count(0)
    await person.message_somebody(ben.id, ben.id)
    await person.is_in(room)
    assert [found["hidden"] for found in await listed(registry, ana, room)] == [False]


async def listed(registry: Registry, guest: Guest, room: str) -> list[dict[str, object]]:
    """Return the room as the list has it."""
    rooms = (await registry.ask(guest, "GET", "/v1/rooms"))["rooms"]
    return [found for found in rooms if found["room"] == room]


async def test_who_is_blocked_reaches_one_no_more_until_it_is_lifted(arrive: Arrive, registry: Registry) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    room = await registry.talk(ben, ana)
    person = await arrive(ana)
    await person.open(room)
    await action(person, "block")
    await press(person.panel.get_by_test_id("confirm").filter(has_text="Block Ben Okafor"))
    await person.may_not_write("You have blocked them")
    await expect(person.room_item(room)).to_have_text("Ben Okafor blocked")
    await expect(person.page.get_by_test_id("about")).to_have_text("Blocked by you")
    await expect(person.panel.get_by_test_id("block")).to_have_count(0)
    await expect(person.panel.get_by_role("heading", name="Conversation")).to_be_focused()
    await person.page.reload()
    await person.may_not_write("You have blocked them")
    await press(person.page.get_by_test_id("unblock-here"))
    await person.may_write()
    await expect(person.page.get_by_test_id("composer")).to_be_focused()
    await expect(person.room_item(room)).to_have_text("Ben Okafor")
    await registry.say(ben, room, "There you are")
    await person.sees("There you are")


async def test_whom_one_has_blocked_can_be_seen_and_unblocked(arrive: Arrive, registry: Registry) -> None:
    """Also where there is no conversation with them, and where it is hidden."""
    ana, ben, cat = await registry.sign_in("Ana Ruiz", "Ben Okafor", "Çağla Işık")
    await registry.ask(ana, "PUT", f"/v1/direct/{(await opened(registry, ana, ben)).id}/hidden")
    for guest in (ben, cat):
        await registry.ask(ana, "PUT", f"/v1/people/{guest.id}/block")
    person = await arrive(ana)
    await person.look_for_somebody()
    await press(person.finder.get_by_test_id("find-more"))
    await expect(person.finder.get_by_role("heading")).to_have_text("Blocked people")
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(2)
    await person.finder.get_by_test_id("find").press_sequentially("isik")
    await expect(person.finder.get_by_test_id("found-row")).to_have_count(1)
    await press(person.found(cat.id).get_by_role("button", name="Unblock: Çağla Işık"))
    await expect(person.finder.get_by_test_id("find")).to_be_focused()
    await expect(person.finder.get_by_test_id("find-said")).to_have_text("Nobody of that name is blocked.")
    await person.finder.get_by_test_id("find").fill("")
    await press(person.found(ben.id).get_by_test_id("take"))
    await expect(person.finder.get_by_test_id("find-said")).to_have_text("You have blocked nobody.")
    assert (await registry.ask(ana, "GET", "/v1/blocks"))["people"] == []


async def opened(registry: Registry, guest: Guest, other: Guest) -> Guest:
    """Return the other one, with whom there is a direct room then."""
    await registry.talk(guest, other)
    return other
