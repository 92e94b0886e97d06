"""Every transport: each event once and in order, and who comes back gets exactly what was missed, or starts anew."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from harness.broker_client import BrokerClient, connect_broker
from harness.concurrency import run_concurrently
from harness.http_transport import http_client
from harness.scripted_client import ScriptedClient, connect, connect_over
from harness.stack import Stack
from harness.transport import TRANSPORTS, TransportName
from integration.conftest import Place, new_place, seqs

REPLAY_LIMIT = 1_000
LONG = [f"{number} ".ljust(4_000, "x") for number in range(REPLAY_LIMIT)]
"""Texts that take many answers of polls, and more than the outbox of a stream."""
both = pytest.mark.parametrize("back", [0, 1], ids=["same-gateway", "other-gateway"])


async def cursor(transport: TransportName, gateway: str, place: Place) -> dict[str, Any]:
    """Follow the room, then go away; return `joined`, which says head and epoch."""
    async with connect_over(transport, gateway, place.bob.token) as bob:
        return await bob.join(place.room)


async def come_up(gateway: str, place: Place) -> None:
    """Wait until the gateway has what the store has: who joins without a cursor makes it look."""
    async with connect(gateway, place.ann.token) as ann:
        await ann.join(place.room)


async def assert_goes_on(bob: ScriptedClient, broker: BrokerClient, place: Place, head: int) -> None:
    """The next event follows, and nothing else has come."""
    await broker.fill(place.room, place.ann.id, ["and on"])
    assert seqs(await bob.events(place.room, head + 1)) == [head + 1]


async def test_events_of_several_rooms_come_each_once_and_in_order(
    transport: TransportName, gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient
) -> None:
    places = [await new_place(http, gateways[0]) for _ in range(4)]
    reader = places[0].eve
    async with AsyncExitStack() as exits:
        readers = [await exits.enter_async_context(connect_over(transport, each, reader.token)) for each in gateways]
        for client, place in itertools.product(readers, places):
            assert (await client.join(place.room))["head"] == 2
        for turn in range(5):
            for place in places:
                await broker.fill(place.room, place.ann.id, [f"{turn}.{part}" for part in range(10)])
        for client, place in itertools.product(readers, places):
            events = await client.events(place.room, 52)
            assert seqs(events) == list(range(3, 53))
            assert [event["text"] for event in events] == [f"{n // 10}.{n % 10}" for n in range(50)]


@both
@pytest.mark.parametrize("missed", [0, 10, 1_000])
async def test_who_was_away_gets_exactly_what_was_missed(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place, missed: int, back: int
) -> None:
    left = await cursor(transport, gateways[0], place)
    texts = [f"missed {number}" for number in range(missed)]
    if texts:
        await broker.fill(place.room, place.ann.id, texts)
    await come_up(gateways[back], place)
    async with connect_over(transport, gateways[back], place.bob.token) as bob:
        joined = await bob.join(place.room, left["head"], left["epoch"])
        assert (joined["reset"], joined["head"]) == (False, left["head"] + missed)
        events = await bob.events(place.room, joined["head"]) if missed else []
        assert seqs(events) == list(range(left["head"] + 1, joined["head"] + 1))
        assert [event["text"] for event in events] == texts
        assert [event["number"] for event in events] == list(range(1, missed + 1))
        await assert_goes_on(bob, broker, place, joined["head"])


@both
async def test_who_missed_more_than_the_limit_is_told_to_reload(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place, back: int
) -> None:
    left = await cursor(transport, gateways[0], place)
    head = await broker.fill(place.room, place.ann.id, ["x"] * (REPLAY_LIMIT + 1))
    await come_up(gateways[back], place)
    async with connect_over(transport, gateways[back], place.bob.token) as bob:
        joined = await bob.join(place.room, left["head"], left["epoch"])
        assert (joined["reset"], joined["head"], joined["number"]) == (True, head, REPLAY_LIMIT + 1)
        await assert_goes_on(bob, broker, place, head)


@pytest.fixture(scope="module")
async def long(stack: Stack) -> AsyncIterator[Place]:
    """A room with a replay's fill of texts that are as long as may be; nobody writes there any more."""
    async with http_client() as http, connect_broker(stack.amqp_url("gateway")) as broker:
        place = await new_place(http, stack.gateways[0].url)
        for start in range(0, len(LONG), 200):
            await broker.fill(place.room, place.ann.id, LONG[start : start + 200])
        yield place


@both
async def test_a_replay_of_long_texts_is_whole(
    transport: TransportName, gateways: list[str], long: Place, back: int
) -> None:
    """It is many times what a poll's answer or a stream's outbox holds."""
    async with connect_over(transport, gateways[back], long.bob.token) as bob:
        assert (await bob.join(long.room, 2))["reset"] is False
        events = await bob.events(long.room, 2 + len(LONG))
        assert seqs(events) == list(range(3, 3 + len(LONG)))
        assert [event["text"] for event in events] == LONG


async def test_a_crowd_that_resumes_at_once_gets_the_same(gateways: list[str], long: Place) -> None:
    head = 2 + len(LONG)

    async def resume(number: int) -> list[int]:
        transport = TRANSPORTS[number % len(TRANSPORTS)]
        async with connect_over(transport, gateways[number // 3 % 2], long.bob.token) as bob:
            await bob.join(long.room, head - 5 * number)
            return seqs(await bob.events(long.room, head)) if number else []

    found = await run_concurrently(*(resume(number) for number in range(30)))
    assert found == [list(range(head - 5 * number + 1, head + 1)) for number in range(30)]


async def test_without_a_cursor_nothing_is_replayed(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    head = await broker.fill(place.room, place.ann.id, ["x"] * 5)
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room)
        assert (joined["head"], joined["number"], joined["reset"]) == (head, 5, False)
        await assert_goes_on(bob, broker, place, head)


@pytest.mark.parametrize("since", [0, 1, 2, 3])
async def test_any_place_in_the_log_is_a_cursor(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place, since: int
) -> None:
    head = await broker.fill(place.room, place.ann.id, ["first"])
    await come_up(gateways[0], place)
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room, since)
        assert (joined["reset"], joined["head"]) == (False, head)
        log = [(1, "room.created"), (2, "member.joined"), (3, "message")]
        events = await bob.events(place.room, head) if since < head else []
        assert [(event["seq"], event["type"]) for event in events] == log[since:]
        await assert_goes_on(bob, broker, place, head)


@pytest.mark.parametrize(("since", "epoch"), [(3, None), (10**15 - 1, None), (1, "another"), (0, "another")])
async def test_a_cursor_that_means_nothing_here_is_told_to_reload(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place, since: int, epoch: str | None
) -> None:
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room, since, epoch)
        assert (joined["reset"], joined["head"]) == (True, 2)
        assert joined["epoch"] != epoch
        await assert_goes_on(bob, broker, place, 2)


async def test_whoever_had_the_ack_may_resume_anywhere_at_once(
    transport: TransportName, gateways: list[str], place: Place
) -> None:
    """A gateway that has not heard of the event yet waits for it: who knows more than it does need not reload."""
    async with AsyncExitStack() as exits:
        clients = [await exits.enter_async_context(connect_over(transport, each, place.ann.token)) for each in gateways]
        (epoch,) = {(await client.join(place.room))["epoch"] for client in clients}
        for turn in range(20):
            here, there = clients[turn % 2], clients[1 - turn % 2]
            seq = (await here.send(place.room, f"{turn}"))["seq"]
            joined = await there.join(place.room, seq, epoch)
            assert (joined["reset"], joined["head"]) == (False, seq)


async def test_joining_again_replays_from_the_new_cursor_and_sends_nothing_twice_after(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        await bob.join(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"] * 10)
        assert seqs(await bob.events(place.room, head)) == list(range(3, head + 1))
        assert (await bob.join(place.room, head - 4))["reset"] is False
        assert seqs(await bob.events(place.room, head)) == list(range(head - 3, head + 1))
        await bob.join(place.room)
        await assert_goes_on(bob, broker, place, head)


async def test_after_leaving_nothing_comes(
    transport: TransportName, gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, place: Place
) -> None:
    other = await new_place(http, gateways[0])
    async with connect_over(transport, gateways[0], other.bob.token) as bob:
        for room in (place.room, other.room):
            await bob.join(room)
        await bob.leave(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"])
        assert [frame for frame in await bob.caught_up(other.room) if frame["type"] == "events"] == []
        await bob.join(place.room, head - 1)
        assert seqs(await bob.events(place.room, head)) == [head]


async def write(broker: BrokerClient, place: Place, stop: asyncio.Event) -> int:
    """Write until told to stop; return the head."""
    head = 0
    for number in itertools.count():
        if stop.is_set():
            break
        head = await broker.fill(place.room, place.ann.id, [f"{number}.{part}" for part in range(7)])
    return head


async def test_nothing_is_lost_or_doubled_by_reconnecting_while_others_write(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(write(broker, place, stop))
    shown: list[int] = []
    at, epoch = 0, None
    for gateway in itertools.islice(itertools.cycle(gateways), 30):
        async with connect_over(transport, gateway, place.bob.token) as bob:
            joined = await bob.join(place.room, at, epoch)
            assert joined["reset"] is False
            epoch = joined["epoch"]
            shown += seqs(await bob.events(place.room, joined["head"] + 1))
            at = shown[-1]
    stop.set()
    head = await writing
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        await bob.join(place.room, at, epoch)
        shown += seqs(await bob.events(place.room, head)) if head > at else []
    assert shown == list(range(1, head + 1))
