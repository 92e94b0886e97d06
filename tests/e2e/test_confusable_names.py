"""Names that a reader cannot tell apart are shown with their ids, wherever they are shown."""

import pytest
from harness.resilient_client import fresh_room
from playwright.async_api import expect

from e2e.conftest import Arrive
from e2e.registry import Registry


@pytest.fixture
def page_url(component: str) -> str:
    """What is tested happens inside the chat."""
    return component


async def test_of_two_conversations_the_page_tells_with_whom(arrive: Arrive, registry: Registry) -> None:
    """Ana talks with Ann; somebody whose name looks the same writes to her and invites her."""
    ana, ann, other, ben = await registry.sign_in("Ana Ruiz", "Ann", "\u0410nn", "Ben Okafor")
    for guest in (ann, ben):
        await registry.talk(guest, ana)
    page = await arrive(ana)
    items = page.page.get_by_test_id("room-item")
    await expect(items.filter(has_text="Ann")).to_have_text("Ann")
    await registry.talk(other, ana)
    mine = items.filter(has_text=ann.id)
    await expect(mine).to_have_text(f"Ann {ann.id}")
    await expect(items.filter(has_text=other.id)).to_have_text(f"\u0410nn {other.id}")
    await expect(items.filter(has_text="Ben")).to_have_text("Ben Okafor")
    started = page.notice("room.created")
    await expect(started.filter(has_text=other.id)).to_contain_text(f"\u0410nn {other.id} started a conversation")
    await expect(started.filter(has_text="Ben")).to_contain_text("Ben Okafor started a conversation")
    await mine.click()
    await expect(page.page.locator(".warren h1")).to_have_text(f"Ann {ann.id}")
    await expect(page.page.locator(".start h2")).to_have_text(f"Ann {ann.id}")
    await expect(page.page.get_by_test_id("composer")).to_have_attribute("placeholder", f"Message Ann ({ann.id})")


async def test_of_two_rooms_of_one_title_the_page_tells_which(arrive: Arrive, registry: Registry) -> None:
    ana, ben = await registry.sign_in("Ana Ruiz", "Ben Okafor")
    first, second, third = (fresh_room("alike") for _ in range(3))
    for room in (first, second):
        await registry.found(room, ben, ana, title="Garden")
    await registry.found(third, ben, title="G\u0430rden", kind="private")
    await registry.invite(third, ben, ana)
    page = await arrive(ana)
    await expect(page.room_item(first)).to_have_text(f"Garden {first}")
    await expect(page.room_item(second)).to_have_text(f"Garden {second}")
    await expect(page.notice("member.invited")).to_contain_text(f"Ben Okafor invites you to G\u0430rden {third}")
