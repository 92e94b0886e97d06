"""A gateway's own queue, whose broker takes its time."""

import asyncio
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractQueue
from warren.broker.errors import Unavailable
from warren.contract.topology import bucket
from warren_gateway.broker.bucket_queue import BucketQueue

ROOMS = [f"room-{number}" for number in range(300)]


class SlowQueue:
    """A queue on the broker; `bound`: the keys, in order."""

    def __init__(self) -> None:
        self.bound: list[str] = []
        self.under_way = self.most_under_way = 0
        self.answering = asyncio.Event()

    async def bind(self, _: str, key: str, timeout: float) -> None:
        """Bind, once the broker answers."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.answering.wait()
        await asyncio.sleep(0)
        self.under_way -= 1
        self.bound.append(key)


def consuming(slow: SlowQueue) -> BucketQueue:
    """Return a bucket queue that consumes this one."""
    queue = BucketQueue("test", 1, lambda _: None, lambda: None)
    queue._queue = cast(AbstractQueue, slow)
    return queue


async def test_however_many_rooms_are_bound_at_once_the_channel_is_free_for_what_else_is_asked() -> None:
    slow = SlowQueue()
    queue = consuming(slow)
    slow.answering.set()
    await asyncio.gather(*(queue.bind(room) for room in ROOMS))
    assert slow.most_under_way == 1
    assert len(slow.bound) == len(set(slow.bound)) == len({bucket(room) for room in ROOMS})


async def test_who_waits_while_the_queue_goes_is_told_and_nothing_counts_as_bound_that_is_not() -> None:
    slow = SlowQueue()
    queue = consuming(slow)
    binding = [asyncio.create_task(queue.bind(room)) for room in ROOMS[:3]]
    await asyncio.sleep(0)
    queue._queue, queue._bound = None, set()
    slow.answering.set()
    found: list[Any] = await asyncio.gather(*binding, return_exceptions=True)
    assert [type(one) for one in found[1:]] == [Unavailable] * 2
    assert not queue._bound
    with pytest.raises(Unavailable):
        await queue.bind(ROOMS[0])
