"""Conversations of two: from a search, from somebody's name, from the list of members."""

import pytest
from playwright.async_api import expect

from e2e.chat_page import ChatPage
from e2e.conftest import Meet


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


async def talk(ana: ChatPage, ben: ChatPage) -> None:
    """Ana has opened the conversation: Ben is told, comes, and both speak."""
    await expect(ana.page.locator(".warren h1")).to_have_text("Ben Okafor")
    await expect(ben.notice("room.created")).to_contain_text("Ana Ruiz started a conversation with you")
    await ana.say("Just the two of us")
    await ben.answer("room.created", "visit")
    await expect(ben.page.locator(".warren h1")).to_have_text("Ana Ruiz")
    await expect(ben.notice("room.created")).to_have_count(0)
    await ben.sees("Just the two of us")
    await ben.say("At last")
    await ana.sees("At last")


async def test_from_a_search(meet: Meet, ui: str) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor", at=ui)
    await ana.message_somebody("Ben Okafor", await ben.id())
    await talk(ana, ben)
    await ben.page.reload()
    await ben.sees("At last")
    await expect(ben.page.locator(".warren h1")).to_have_text("Ana Ruiz")
    await expect(ben.page.get_by_test_id("room-item")).to_have_count(2)


async def test_from_an_authors_name(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ben.say("Anybody here?")
    await ana.sees("Anybody here?")
    await ana.page.locator(".author").click()
    await ana.member(await ben.id()).get_by_test_id("talk").click()
    await talk(ana, ben)


async def test_unread_counts_before_it_is_opened(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.do("talk", await ben.id())
    await expect(ana.page.locator(".warren h1")).to_have_text("Ben Okafor")
    await ana.say("One")
    await ana.say("Two")
    await ana.sees("One", "Two")
    item = ben.page.get_by_test_id("room-item").filter(has_text="Ana Ruiz")
    await expect(item.get_by_test_id("unread")).to_contain_text("2")
    await item.click()
    await ben.sees("One", "Two")
    await expect(ben.page.get_by_test_id("notice")).to_have_count(0)


async def test_each_may_mute_the_other(meet: Meet) -> None:
    (ana, ben), _ = await meet("Ana Ruiz", "Ben Okafor")
    await ana.do("talk", await ben.id())
    await ben.answer("room.created", "visit")
    await ana.do("mute", await ben.id(), length="For ever", reason="Not now")
    await ben.may_not_write("You are muted here. Reason: Not now")
    await expect(ben.notice("member.muted")).to_contain_text("Ana Ruiz muted you in your conversation")
    await ana.do("unmute", await ben.id())
    await ben.may_write()
    await expect(ana.panel.get_by_test_id("leave")).to_have_count(0)
