"""I7: who does not read is cut with 4008 at the bound, and everybody else is shown everything meanwhile."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from harness.bus import Bus
from harness.operator import metric, resident_mib
from harness.raw import message, raw_sign_in
from harness.stack import Stack
from harness.talker import talk
from integration.conftest import Place
from warren_local.service import Service

OUTBOX = 2 * 1024 * 1024
REPLAY_LIMIT = 1_000
WITHIN = 60.0
"""Seconds for the cut; a bound, not an expectation."""
MEMORY_MIB = 40.0
"""What the gateway may take more for a reader that stopped: far above its outbox, far below what was said."""


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[Service]:
    """Return a gateway with the smallest outbox there is."""
    gateway = stack.extra_gateway(4, WARREN_OUTBOX_BYTES=str(OUTBOX))
    try:
        gateway.start()
        gateway.wait_ready(WITHIN)
        yield gateway
    finally:
        gateway.stop()


async def cut(gateway: Service) -> float:
    return await metric(gateway.url, "warren_slow_consumers_total")


async def test_a_reader_that_stops_is_cut_with_4008_and_the_others_see_everything(
    small: Service, gateways: list[str], place: Place, broker: Bus
) -> None:
    slow = await raw_sign_in(small.url, place.eve.token, receive_buffer=4_096)
    await slow.push(message(type="join", room=place.room))
    await slow.read_json("joined")
    slow.stop_reading()
    before, memory = await cut(small), resident_mib(small)
    shown: list[int] = []
    head = 2
    async with (
        asyncio.timeout(WITHIN),
        talk(small.url, place.bob.token) as bob,
        talk(small.url, place.ann.token) as ann,
    ):
        await bob.join(place.room)
        while await cut(small) == before:
            for _ in range(10):
                head = await broker.fill(place.room, place.ann.id, ["x" * 1_000] * 20)
                shown += [event["seq"] for event in await bob.events(place.room, head)]
        assert await cut(small) == before + 1
        assert (await ann.send(place.room, "still quick"))["seq"] == head + 1
        shown += [event["seq"] for event in await bob.events(place.room, head + 1)]
    assert shown == list(range(3, head + 2))
    assert resident_mib(small) - memory < MEMORY_MIB
    assert await metric(small.url, "warren_connections_closed_total", code="4008") >= 1
    # What it was sent before is still good: in order, without a hole, and then the code.
    slow.go_on_reading()
    async with asyncio.timeout(WITHIN):
        assert await slow.close_code() == 4008
    slow.abort()
    seqs = [event["seq"] for text in slow.texts for event in json.loads(text)["events"]]
    assert seqs == list(range(3, 3 + len(seqs)))
    async with talk(gateways[0], place.eve.token) as eve:
        at = max(seqs[-1], head + 1 - REPLAY_LIMIT)
        assert (await eve.join(place.room, at))["reset"] is False
        assert [event["seq"] for event in await eve.events(place.room, head + 1)] == list(range(at + 1, head + 2))


async def test_the_smallest_outbox_still_serves_a_reader_who_resumes(small: Service, place: Place, broker: Bus) -> None:
    """A replay is many times the smallest outbox; who reads as it comes is not slow."""
    head = await broker.fill(place.room, place.ann.id, ["x" * 300] * 900)
    async with talk(small.url, place.bob.token) as bob:
        await bob.join(place.room, 2)
        assert [event["seq"] for event in await bob.events(place.room, head)] == list(range(3, head + 1))
