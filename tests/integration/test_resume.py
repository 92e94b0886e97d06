"""Resume: who comes back with a cursor gets exactly what was missed, once and in order, or is told to start anew."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from harness.bus import Bus
from harness.operator import metric
from harness.stack import Stack
from harness.talker import Talker, talk
from integration.conftest import Place

REPLAY_LIMIT = 1_000
BEYOND_THE_RING = 600
"""More events than a gateway keeps in memory."""


def seqs(events: Sequence[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


async def range_queries(stack: Stack) -> float:
    """Return how many ranges of events have been read from the store."""
    counts = [await metric(replica.url, "warren_queries_total", type="events") for replica in stack.persistence]
    return sum(counts)


async def cursor(gateway: str, place: Place) -> dict[str, Any]:
    """Follow the room, then go away; return `joined`, which says head and epoch."""
    async with talk(gateway, place.bob.token) as bob:
        return await bob.join(place.room)


async def assert_goes_on(bob: Talker, broker: Bus, place: Place, head: int) -> None:
    """The next event follows at once, and nothing else has come."""
    assert [frame for frame in await bob.quiet() if frame["type"] == "events"] == []
    await broker.fill(place.room, place.ann.id, ["and on"])
    assert seqs(await bob.events(place.room, head + 1)) == [head + 1]


@pytest.mark.parametrize("missed", [0, 10, 999, 1_000])
@pytest.mark.parametrize("back", [0, 1], ids=["same-gateway", "other-gateway"])
async def test_who_was_away_gets_exactly_what_was_missed(
    gateways: list[str], broker: Bus, place: Place, missed: int, back: int
) -> None:
    left = await cursor(gateways[0], place)
    texts = [f"missed {number}" for number in range(missed)]
    if texts:
        await broker.fill(place.room, place.ann.id, texts)
    async with talk(gateways[back], place.bob.token) as bob:
        joined = await bob.join(place.room, left["head"], left["epoch"])
        assert (joined["reset"], joined["head"], joined["number"]) == (False, left["head"] + missed, missed)
        events = await bob.events(place.room, joined["head"]) if missed else []
        assert seqs(events) == list(range(left["head"] + 1, joined["head"] + 1))
        assert [event["text"] for event in events] == texts
        assert [event["number"] for event in events] == list(range(1, missed + 1))
        await assert_goes_on(bob, broker, place, joined["head"])


@pytest.mark.parametrize("back", [0, 1], ids=["same-gateway", "other-gateway"])
async def test_who_missed_more_than_the_limit_is_told_to_reload(
    gateways: list[str], broker: Bus, place: Place, back: int
) -> None:
    left = await cursor(gateways[0], place)
    await broker.fill(place.room, place.ann.id, ["x"] * (REPLAY_LIMIT + 1))
    async with talk(gateways[back], place.bob.token) as bob:
        joined = await bob.join(place.room, left["head"], left["epoch"])
        assert (joined["reset"], joined["head"]) == (True, left["head"] + REPLAY_LIMIT + 1)
        await assert_goes_on(bob, broker, place, joined["head"])


async def test_a_short_absence_is_served_from_memory(
    stack: Stack, gateways: list[str], broker: Bus, place: Place
) -> None:
    async with talk(gateways[0], place.ann.token) as ann, talk(gateways[0], place.bob.token) as bob:
        left = await ann.join(place.room)
        await broker.fill(place.room, place.ann.id, ["x"] * 100)
        await ann.events(place.room, left["head"] + 100)
        before = await range_queries(stack)
        await bob.join(place.room, left["head"], left["epoch"])
        assert len(await bob.events(place.room, left["head"] + 100)) == 100
        assert await range_queries(stack) == before


async def test_what_the_memory_no_longer_holds_comes_from_the_store(
    stack: Stack, gateways: list[str], broker: Bus, place: Place
) -> None:
    async with talk(gateways[0], place.ann.token) as ann, talk(gateways[0], place.bob.token) as bob:
        left = await ann.join(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"] * BEYOND_THE_RING)
        await ann.events(place.room, head)
        before = await range_queries(stack)
        await bob.join(place.room, left["head"], left["epoch"])
        assert seqs(await bob.events(place.room, head)) == list(range(left["head"] + 1, head + 1))
        assert await range_queries(stack) > before


async def test_long_texts_are_replayed_whole(gateways: list[str], broker: Bus, place: Place) -> None:
    left = await cursor(gateways[0], place)
    texts = [f"{number} " + "\U0001f407" * 3_900 for number in range(200)]
    head = await broker.fill(place.room, place.ann.id, texts)
    async with talk(gateways[1], place.bob.token) as bob:
        await bob.join(place.room, left["head"], left["epoch"])
        assert [event["text"] for event in await bob.events(place.room, head)] == texts


async def test_without_a_cursor_nothing_is_replayed(gateways: list[str], broker: Bus, place: Place) -> None:
    head = await broker.fill(place.room, place.ann.id, ["x"] * 5)
    async with talk(gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room)
        assert (joined["head"], joined["number"], joined["reset"]) == (head, 5, False)
        await assert_goes_on(bob, broker, place, head)


async def test_since_0_is_the_whole_log(gateways: list[str], broker: Bus, place: Place) -> None:
    head = await broker.fill(place.room, place.ann.id, ["first"])
    async with talk(gateways[0], place.bob.token) as bob:
        assert (await bob.join(place.room, 0))["reset"] is False
        events = await bob.events(place.room, head)
        assert [(event["seq"], event["type"]) for event in events] == [
            (1, "room.created"),
            (2, "member.joined"),
            (3, "message"),
        ]


async def test_a_cursor_beyond_the_head_is_told_to_reload(gateways: list[str], broker: Bus, place: Place) -> None:
    async with talk(gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room, 3)
        assert (joined["reset"], joined["head"]) == (True, 2)
        await assert_goes_on(bob, broker, place, 2)


async def test_a_cursor_of_another_epoch_is_told_to_reload(gateways: list[str], broker: Bus, place: Place) -> None:
    async with talk(gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room, 1, "another-epoch")
        assert (joined["reset"], joined["head"]) == (True, 2)
        assert joined["epoch"] != "another-epoch"
        await assert_goes_on(bob, broker, place, 2)


async def test_all_gateways_name_the_same_epoch(gateways: list[str], place: Place) -> None:
    assert len({(await cursor(gateway, place))["epoch"] for gateway in gateways}) == 1


async def test_joining_again_replays_from_the_new_cursor_and_sends_nothing_twice_after(
    gateways: list[str], broker: Bus, place: Place
) -> None:
    async with talk(gateways[0], place.bob.token) as bob:
        await bob.join(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"] * 10)
        assert seqs(await bob.events(place.room, head)) == list(range(3, head + 1))
        assert (await bob.join(place.room, head - 4))["reset"] is False
        assert seqs(await bob.events(place.room, head)) == list(range(head - 3, head + 1))
        await bob.join(place.room)
        await assert_goes_on(bob, broker, place, head)


async def test_after_leaving_nothing_comes(gateways: list[str], broker: Bus, place: Place) -> None:
    async with talk(gateways[0], place.bob.token) as bob, talk(gateways[0], place.ann.token) as ann:
        await bob.join(place.room)
        await ann.join(place.room)
        await bob.ask("left", type="leave", room=place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"])
        await ann.events(place.room, head)
        assert await bob.quiet() == []
        await bob.join(place.room, head - 1)
        assert seqs(await bob.events(place.room, head)) == [head]


async def test_two_rooms_on_one_connection_keep_their_cursors_apart(
    gateways: list[str], broker: Bus, place: Place, private: Place
) -> None:
    async with talk(gateways[1], private.ann.token) as ann:
        await ann.join(place.room, 0)
        await ann.join(private.room, 0)
        one = await broker.fill(place.room, place.ann.id, ["x"] * 3)
        two = await broker.fill(private.room, private.ann.id, ["y"] * 3)
        assert seqs(await ann.events(place.room, one)) == list(range(1, one + 1))
        assert seqs(await ann.events(private.room, two)) == list(range(1, two + 1))


async def write(broker: Bus, place: Place, stop: asyncio.Event) -> int:
    """Write until told to stop; return the head."""
    head = 0
    for number in itertools.count():
        if stop.is_set():
            break
        head = await broker.fill(place.room, place.ann.id, [f"{number}.{part}" for part in range(7)])
    return head


async def test_nothing_is_lost_or_doubled_by_reconnecting_while_others_write(
    gateways: list[str], broker: Bus, place: Place
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(write(broker, place, stop))
    shown: list[int] = []
    at, epoch = 0, None
    for gateway in itertools.islice(itertools.cycle(gateways), 40):
        async with talk(gateway, place.bob.token) as bob:
            joined = await bob.join(place.room, at, epoch)
            assert joined["reset"] is False
            epoch = joined["epoch"]
            shown += seqs(await bob.events(place.room, joined["head"] + 1))
            at = shown[-1]
    stop.set()
    head = await writing
    async with talk(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, at, epoch)
        shown += seqs(await bob.events(place.room, head)) if head > at else []
    assert shown == list(range(1, head + 1))


async def test_nothing_is_lost_by_joining_again_while_others_write(
    gateways: list[str], broker: Bus, place: Place
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(write(broker, place, stop))
    async with talk(gateways[0], place.bob.token) as bob:
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


async def test_a_crowd_that_resumes_at_once_gets_the_same(gateways: list[str], broker: Bus, place: Place) -> None:
    head = await broker.fill(place.room, place.ann.id, ["x" * 200] * 900)

    async def resume(number: int) -> list[int]:
        async with talk(gateways[number % 2], place.bob.token) as bob:
            await bob.join(place.room, number)
            return seqs(await bob.events(place.room, head))

    found = await asyncio.gather(*(resume(number) for number in range(30)))
    assert found == [list(range(number + 1, head + 1)) for number in range(30)]
