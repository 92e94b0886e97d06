"""What a device is and allows: shared by several people, without storage, a phone, on over midnight."""

import pytest
from harness.resilient_client import fresh_room
from playwright.async_api import expect
from warren_ui.session import COOKIE

from e2e.chat_page import COMPOSER, ChatPage
from e2e.conftest import Arrive, Meet
from e2e.registry import Guest, Registry

BLOCKED = """for (const name of ["localStorage", "sessionStorage"]) {
    const get = () => { throw new DOMException("The operation is insecure.", "SecurityError"); };
    Object.defineProperty(window, name, { get });
}"""
FULL = """Storage.prototype.setItem = () => { throw new DOMException("no room", "QuotaExceededError"); };"""


async def become(person: ChatPage, guest: Guest) -> None:
    """Have somebody else use the same tab."""
    await person.context.add_cookies([{"name": COOKIE, "value": guest.token, "url": person.url, "sameSite": "Strict"}])
    await person.page.reload()
    await person.is_online()


async def test_a_draft_is_its_writers_alone(arrive: Arrive, registry: Registry) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    room, other = fresh_room("drafts"), fresh_room("drafts")
    for name in (room, other):
        await registry.found(name, ana, ben)
    tab = await arrive(ana)
    await tab.open(room)
    await tab.page.locator(COMPOSER).fill("What I think of Ben")
    await tab.page.evaluate("room => sessionStorage.setItem(`warren:draft:${room}`, 'of an earlier version')", other)
    await become(tab, ben)
    for name in (room, other):
        await tab.open(name)
        await tab.may_write()
        await expect(tab.page.locator(COMPOSER)).to_have_value("")
    await become(tab, ana)
    await tab.open(room)
    await expect(tab.page.locator(COMPOSER)).to_have_value("What I think of Ben")


@pytest.mark.parametrize("obstacle", [BLOCKED, FULL], ids=["blocked", "full"])
async def test_people_chat_without_storage(arrive: Arrive, registry: Registry, obstacle: str) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    room, other = fresh_room("bare"), fresh_room("bare")
    for name in (room, other):
        await registry.found(name, ana, ben)
    person = await arrive(ana, script=obstacle)
    await person.open(room)
    await registry.act(ben, "POST", f"/{room}/messages", text="Can you hear me?")
    await person.sees("Can you hear me?")
    await person.say("Yes, without a single cookie.")
    await person.sees("Yes, without a single cookie.")
    await person.page.locator(COMPOSER).fill("Not sent yet")
    await person.open(other)
    await expect(person.page.locator(COMPOSER)).to_have_value("")
    await person.open(room)
    await expect(person.page.locator(COMPOSER)).to_have_value("Not sent yet")


async def test_on_a_phone_enter_begins_another_line(meet: Meet) -> None:
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    (ana,), _ = await meet("Ana Ruiz", **phone)
    await ana.type("One")
    await ana.page.locator(COMPOSER).press("Enter")
    await ana.type("Two")
    await expect(ana.page.locator(COMPOSER)).to_have_value("One\nTwo")
    await expect(ana.page.locator(COMPOSER)).to_have_attribute("enterkeyhint", "enter")
    await ana.page.get_by_test_id("send").tap()
    await ana.sees("One\nTwo")


async def test_pasted_code_keeps_its_indent(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.say("\n  \n    def double(x):\n        return 2 * x\n\n")
    await ben.sees("    def double(x):\n        return 2 * x")


async def test_today_ends_at_midnight(meet: Meet) -> None:
    (ana,), _ = await meet("Ana Ruiz", own_clock=True)
    await ana.say("Still up?")
    await ana.sees("Still up?")
    days = ana.page.locator(".warren .day")
    await expect(days).to_have_text(["Today"])
    await ana.page.clock.fast_forward(await ana.page.evaluate("new Date().setHours(23, 59, 40, 0) - Date.now()"))
    await ana.is_online()
    await expect(days).to_have_text(["Today"])
    await ana.page.clock.run_for(30_000)
    await expect(days).to_have_text(["Yesterday"])
