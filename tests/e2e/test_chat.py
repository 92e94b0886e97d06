"""People chat through the Streamlit page, in Chromium against real servers."""

import re

from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room
from harness.stack import Stack
from playwright.async_api import expect

from e2e.chat_page import COMPOSER, WITHIN_MS
from e2e.conftest import ROOMS_PER_CONNECTION, Arrive, Meet
from e2e.registry import Registry

TEXT_LIMIT = 4_000


async def test_two_people_chat(arrive: Arrive) -> None:
    room = fresh_room("talk")
    ana, ben = await run_concurrently(arrive("Ana Ruiz"), arrive("Ben Okafor"))
    await ana.create_room("Garden", room)
    await ben.join(room)
    await ana.say("Who brings the seeds?")
    await ben.sees("Who brings the seeds?")
    await ben.say("I do.\nAnd the rake.")
    await ana.sees("I do.\nAnd the rake.")
    await ben.sees("I do.\nAnd the rake.")
    assert await ana.seen() == await ben.seen()
    assert [message.seq for message in await ana.seen()] == [3, 4]
    await expect(ana.page.locator(".author")).to_have_text(["Ben Okafor"])


async def test_a_message_is_pending_until_it_is_stored(meet: Meet, stack: Stack) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    for persistence in stack.persistence:
        persistence.pause()
    try:
        await ana.say("Is anybody there?")
        await ana.message("Is anybody there?", "pending").wait_for()
        assert await ben.seen() == []
    finally:
        for persistence in stack.persistence:
            persistence.resume()
    await ana.sees("Is anybody there?")
    await ben.sees("Is anybody there?")
    await expect(ana.message("Is anybody there?", "pending")).to_have_count(0)


async def test_a_reload_finds_everything(meet: Meet) -> None:
    (ana, ben), room = await meet("Ana Ruiz", "Ben Okafor")
    other = fresh_room("other")
    await ana.create_room("Another", other)
    await ben.say("Before")
    await expect(ana.room_item(room).get_by_test_id("unread")).to_have_text(re.compile("^1"))
    await ana.open(room)
    await ana.sees("Before")
    await ana.page.locator(COMPOSER).fill("Not sent yet")
    before = await ana.seen()

    await ana.page.reload()
    await ana.is_in(room)
    await ana.sees("Before")
    assert await ana.seen() == before
    await expect(ana.page.get_by_test_id("room-item")).to_have_count(2)
    await expect(ana.page.get_by_text("Ana Ruiz")).to_be_visible()
    await expect(ana.page.locator(COMPOSER)).to_have_value("Not sent yet")
    await ana.is_online()
    await ana.say("After")
    await ben.sees("After")


async def test_markup_stays_text(arrive: Arrive) -> None:
    attack = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
    name = '<b onclick="window.pwned=1">Eve</b> **bold** [x](y)'
    title = "<i>Room</i> `code` :red[red] $x$"
    room = fresh_room("xss")
    eve, ben = await run_concurrently(arrive(name), arrive("Ben Okafor"))
    await eve.create_room(title, room)
    dialog = await ben.browse()
    await dialog.get_by_text(title, exact=True).wait_for()
    await ben.found(room).get_by_test_id("take").click()
    await ben.is_in(room)
    texts = [attack, "javascript:alert(1)", "https://example.org/?q=<b>&x=\"'", "**bold** _it_ `code`"]
    for text in texts:
        await eve.say(text)
    await ben.sees(*texts)
    for person in (eve, ben):
        assert await person.page.evaluate("window.pwned") is None
        await expect(person.page.locator(".warren :is(.text, .author, .title, h1, h2, .note b) :not(a)")).to_have_count(
            0
        )
        await expect(person.page.locator(".warren h1")).to_have_text(title)
        await expect(person.room_item(room)).to_have_text(title)
        links = await person.page.locator(".warren .text a").evaluate_all("nodes => nodes.map(node => node.href)")
        assert links == ["https://example.org/?q="]
    await expect(ben.page.locator(".author").first).to_have_text(name)
    await expect(eve.page.locator(".st-key-account")).to_contain_text(name)


async def test_a_message_that_is_too_long(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.say("x" * (TEXT_LIMIT + 1))
    await expect(ana.page.get_by_test_id("counter")).to_have_text("-1")
    await expect(ana.page.get_by_test_id("send")).to_be_disabled()
    longest = "🐇" * TEXT_LIMIT
    await ana.say(longest)
    await ben.sees(longest)
    assert [message.text for message in await ana.seen()] == [longest]


async def test_signing_out(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.say("Bye")
    await ben.sees("Bye")
    await ana.page.locator(".st-key-sign-out button").click()
    dialog = ana.page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"You are a guest (Ana Ruiz, {await ana.id()}): no password brings you back.")
    await dialog.get_by_role("button", name="Stay").click()
    await expect(dialog).to_have_count(0)
    await ana.is_online()
    await ana.sign_out()
    await ana.page.wait_for_function("!document.cookie.includes('warren_token')")
    await ana.page.reload()
    await ana.sign_in("Somebody else")
    await expect(ana.page.get_by_text("You are in no room yet")).to_be_visible()
    await expect(ana.page.get_by_test_id("room-item")).to_have_count(0)
    await ben.say("Still here")
    await ben.sees("Still here")


async def test_more_rooms_than_a_connection_may_join(arrive: Arrive, registry: Registry) -> None:
    guest, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    rooms = sorted(fresh_room("many") for _ in range(ROOMS_PER_CONNECTION + 2))
    for room in rooms:
        await registry.found(room, ben, guest)
    ana = await arrive(guest)
    frames: list[str] = []

    def keep(frame: str | bytes) -> None:
        if isinstance(frame, str):  # Streamlit's own are binary, and hold the page's script
            frames.append(frame)

    ana.page.on("websocket", lambda socket: socket.on("framereceived", keep))
    await ana.page.reload()
    await ana.is_in(rooms[0])
    for room in rooms:
        await ana.open(room)
        await registry.act(ben, "POST", f"/{room}/messages", text=f"to {room}")
        await ana.sees(f"to {room}")
        await ana.say(f"from {room}")
        await ana.sees(f"from {room}")
    assert any('"joined"' in frame for frame in frames)
    assert [frame for frame in frames if '"too_many"' in frame] == []
    await expect(ana.page.get_by_test_id("unread")).to_have_count(0, timeout=WITHIN_MS)
