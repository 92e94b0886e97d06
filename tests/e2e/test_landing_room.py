"""Who is new lands in a room, without looking for one."""

from collections.abc import Iterator

import pytest
from conftest import BASE_PORT
from harness.resilient_client import fresh_room
from harness.stack import READY_WITHIN, Stack
from warren_local.service import Service

from e2e.conftest import Arrive

ROOM = fresh_room("landing")


@pytest.fixture(scope="module")
def ui(stack: Stack) -> Iterator[str]:
    """Start a gateway that has a room to land in, and a page beside it."""
    gateway = stack.extra("gateway", 7, WARREN_LANDING_ROOM=ROOM)
    env, port = {"WARREN_GATEWAYS": gateway.url}, BASE_PORT + 1_000 + 493
    log = stack.home / "logs" / "ui-landing.log"
    with gateway, Service("ui-landing", "warren_ui", env, port, log, health="/_stcore/health", home=stack.home) as page:
        gateway.wait_ready(READY_WITHIN)
        page.wait_ready(READY_WITHIN)
        yield page.url


async def test_whoever_signs_in_for_the_first_time_is_in_a_room_at_once_and_not_against_their_will(
    arrive: Arrive,
) -> None:
    ana, ben = await arrive("Ana Ruiz"), await arrive("Ben Okafor")
    for person in (ana, ben):
        await person.is_in(ROOM)
    await ana.say("Is somebody here?")
    await ben.sees("Is somebody here?")
    await (await ben.show_panel()).get_by_test_id("leave").click()
    await ben.panel.get_by_test_id("confirm").click()
    await ben.is_out_of(ROOM, "You left General.")
    await ben.page.locator(".st-key-new-room button").click()  # has the page ask for his rooms again
    await ben.page.get_by_role("dialog").wait_for()
    await ben.is_out_of(ROOM, "You left General.")
