"""Resume: from where it is served, and while there is still a subscription. What is common to all transports is in
test_conformance_order.py."""

import asyncio

from harness.broker_client import BrokerClient
from harness.observability import metric
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place, seqs
from integration.test_conformance_order import write

BEYOND_THE_RING = 600
"""More events than a gateway keeps in memory."""


async def range_queries(stack: Stack) -> float:
    """Return how many ranges of events have been read from the store."""
    counts = [await metric(replica.url, "warren_queries_total", type="events") for replica in stack.persistence]
    return sum(counts)


async def test_a_short_absence_is_served_from_memory(
    stack: Stack, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[0], place.bob.token) as bob,
    ):
        left = await ann.join(place.room)
        await broker.fill(place.room, place.ann.id, ["x"] * 100)
        await ann.events(place.room, left["head"] + 100)
        before = await range_queries(stack)
        await bob.join(place.room, left["head"], left["epoch"])
        assert len(await bob.events(place.room, left["head"] + 100)) == 100
        assert await range_queries(stack) == before


async def test_what_the_memory_no_longer_holds_comes_from_the_store(
    stack: Stack, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[0], place.bob.token) as bob,
    ):
        left = await ann.join(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"] * BEYOND_THE_RING)
        await ann.events(place.room, head)
        before = await range_queries(stack)
        await bob.join(place.room, left["head"], left["epoch"])
        assert seqs(await bob.events(place.room, head)) == list(range(left["head"] + 1, head + 1))
        assert await range_queries(stack) > before


async def test_nothing_is_lost_by_joining_again_while_others_write(
    gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(write(broker, place, stop))
    async with connect(gateways[0], place.bob.token) as bob:
        at = (await bob.join(place.room, 0))["head"]
        shown = seqs(await bob.events(place.room, at))
        for _ in range(40):
            at = shown[-1]
            await bob.join(place.room, at)
            before, bob.passed = [event["seq"] for frame in bob.passed for event in frame.get("events", [])], []
            assert before == list(range(at + 1, at + 1 + len(before)))  # live until the new subscription stands
            shown += seqs(await bob.events(place.room, at + 1))
        stop.set()
        head = await writing
        shown += seqs(await bob.events(place.room, head)) if head > shown[-1] else []
    assert shown == list(range(1, head + 1))
