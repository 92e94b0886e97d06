"""What a gateway does about all its rooms grows with their number, and lets others have their turn; in steps."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from warren.broker.publisher import Publisher
from warren.broker.rpc_client import RpcClient
from warren_gateway.delivery.batch import COPIES, EventBatch, Frame, pack, weight
from warren_gateway.delivery.cooperative import SLICE
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.registry import RoomRegistry
from warren_gateway.rooms.replica import RING_BYTES, ReplayBuffers, RoomReplica

FEW, MANY = 500, 4_000
MIB = 1024 * 1024


async def calls(work: Callable[[], Awaitable[None]]) -> tuple[int, int]:
    """Return how many functions were called until this was done, and how many turns of the event loop it took."""
    count, turns = 0, 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    task = asyncio.ensure_future(work())
    sys.setprofile(called)
    try:
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
    finally:
        sys.setprofile(None)
    await task
    return count, turns


def make() -> tuple[RoomRegistry, PresenceClient]:
    publisher = Publisher(confirm=False)
    presence = PresenceClient("test/1")
    return RoomRegistry(RpcClient(publisher), presence, 64 * MIB), presence


async def swept(rooms: int) -> tuple[int, int]:
    """Let a gateway forget so many idle rooms, in two sweeps; return what the second takes."""
    registry, _ = make()
    for number in range(rooms):
        registry._room(f"room-{number}")
    await registry._sweep()
    taken = await calls(registry._sweep)
    assert not registry._rooms
    assert not registry.events.queue._wanted
    return taken


async def test_forgetting_idle_rooms_takes_steps_for_each_and_no_more() -> None:
    few, many = await swept(FEW), await swept(MANY)
    assert many[0] < few[0] * MANY / FEW * 1.5
    assert many[1] >= MANY / SLICE


async def test_rooms_that_nobody_watches_any_more_are_forgotten_in_steps_for_each() -> None:
    taken = {}
    for rooms in (FEW, MANY):
        _, presence = make()
        for number in range(rooms):
            presence._follow(f"room-{number}")
        await presence._tidy()
        taken[rooms], turns = await calls(presence._tidy)
        assert not presence._rooms
        assert turns >= rooms / SLICE
    assert taken[MANY] < taken[FEW] * MANY / FEW * 1.5


async def test_what_is_announced_does_not_take_a_look_at_every_room() -> None:
    taken = []
    for rooms in (FEW, MANY):
        _, presence = make()
        for number in range(rooms):
            presence._follow(f"room-{number}")
        presence._announcer.announcements(0.0)
        taken.append((await calls(partial(presence._outgoing.announce, presence._queue.bind_all)))[0])
    assert taken[1] < taken[0] * 1.5


def batch(room: str, seq: int, size: int) -> EventBatch:
    return pack(room, [{"seq": seq, "type": "message", "text": "x" * size}], seq)


def encoders() -> list[Callable[[Frame], bytes]]:
    return [lambda frame: b"w" + frame.body, lambda frame: b"s" + frame.body]


def held(replica: RoomReplica) -> int:
    """Return the bytes that a ring really holds, encodings included."""
    ring = replica.replay(0 if replica.head is None else replica._ring[0].first - 1, 10**9) or []
    return sum(len(each.body) + sum(len(found) for found in each._encoded.values()) for each in ring)


def test_a_ring_counts_what_it_holds_in_every_form() -> None:
    replica = RoomReplica("general")
    replica.load("e", 0, 0)
    ways = encoders()
    for seq in range(1, 400):
        for each in replica.offer(batch("general", seq, 4_000)):
            for encode in ways:
                each.encoded(encode)
    assert RING_BYTES * 0.8 < held(replica) <= RING_BYTES
    assert 1 + len(ways) == COPIES


@pytest.mark.parametrize("size", [10, 4_000, 100_000])
def test_all_rings_together_keep_to_a_bound(size: int) -> None:
    buffers = ReplayBuffers(4 * MIB)
    replicas = [RoomReplica(f"room-{number}", buffers) for number in range(200)]
    for replica in replicas:
        replica.load("e", 0, 0)
    for seq in range(1, 60):
        for replica in replicas:
            replica.offer(batch(replica.room, seq, size))
            assert buffers.bytes <= buffers.limit
    assert buffers.bytes == sum(replica._ring_bytes for replica in replicas)
    assert buffers.bytes > buffers.limit * 0.8
    assert replicas[-1].replay(58, 10**9)
    for replica in replicas:
        buffers.forget(replica)
    assert buffers.bytes == 0


def test_who_was_used_least_recently_gives_up_the_oldest() -> None:
    one = weight(batch("a", 1, 1_000))
    buffers = ReplayBuffers(6 * one + 100)
    a, b, c = (RoomReplica(name, buffers) for name in "abc")
    for replica in (a, b, c):
        replica.load("e", 0, 0)
    for seq in (1, 2, 3):
        for replica in (a, b):
            replica.offer(batch(replica.room, seq, 1_000))
    assert b.replay(0, 10**9)
    assert a.replay(0, 10**9)  # used after b
    c.offer(batch("c", 1, 1_000))
    assert b.replay(0, 10**9) is None  # its oldest is gone: the store has it
    assert len(b.replay(1, 10**9) or ()) == 2
    assert len(a.replay(0, 10**9) or ()) == 3


def test_a_room_that_is_followed_no_more_counts_no_more_whoever_works_on_it() -> None:
    buffers = ReplayBuffers(4 * MIB)
    replica = RoomReplica("general", buffers)
    replica.load("e", 0, 0)
    replica.offer(batch("general", 1, 1_000))
    buffers.forget(replica)
    replica.offer(batch("general", 2, 1_000))
    assert buffers.bytes == 0


def test_what_waits_beyond_a_gap_is_bounded_in_bytes() -> None:
    replica = RoomReplica("general")
    replica.load("e", 0, 0)
    for seq in range(3, 40):
        replica.offer(batch("general", seq, 200_000))
    assert sum(len(each.body) for each in replica._pending) <= MIB
