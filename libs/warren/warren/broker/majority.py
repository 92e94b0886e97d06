"""Notices a node that has lost the majority of its cluster: it takes connections and answers, and nothing comes of it.

Whatever lasts there, commands and their deliveries above all, needs the majority of a quorum queue's members. So knocks
are published to the queues of presence, one after the other; to whoever gets them they say nothing new. The leaders of
these queues are spread over the nodes: where a node has ended or hangs, some of them wait for an election, but not all.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from typing import NoReturn

from aio_pika.abc import AbstractConnection

from warren.broker.errors import NoMajority, Unavailable, until_lost
from warren.broker.publisher import Publisher
from warren.broker.silence import unblocked
from warren.contract.presence import Knock
from warren.contract.topology import SHARDS
from warren.supervise import Tasks

KNOCK_EVERY = 0.25
"""Seconds: so twelve of the queues are tried within the patience that there is with one of several nodes."""
KNOCK_WITHIN = 10.0
"""Seconds for one to be confirmed: more than the patience there is during elections."""

Door = Callable[[int], tuple[str, str]]
"""By which exchange and key one reaches the presence queue of a shard; that is a matter of rights."""


async def until_minority(connection: AbstractConnection, door: Door, name: str, within: Callable[[], float]) -> None:
    """Knock again and again. Raises Unavailable: NoMajority if nothing was confirmed for so many seconds.

    `within`: how many these are at the moment.
    """
    knocks = _Knocks(door, name, within)
    async with asyncio.TaskGroup() as group:
        for publisher in knocks.publishers:
            group.create_task(until_lost(publisher.serve(connection)))
        group.create_task(until_lost(knocks.run(connection)))


class _Knocks:
    def __init__(self, door: Door, name: str, within: Callable[[], float]) -> None:
        self.publishers = [Publisher(timeout=KNOCK_WITHIN) for _ in range(SHARDS)]
        """One for each queue: a channel that publishes to a queue for the first time waits for its leader."""
        self._door = door
        self._body = Knock(replica=name).model_dump_json().encode()
        self._within = within
        self._heard_at = time.monotonic()
        self._tasks = Tasks("knock")

    async def run(self, connection: AbstractConnection) -> NoReturn:
        try:
            for shard in itertools.islice(itertools.cycle(range(SHARDS)), random.randrange(SHARDS), None):
                if await unblocked(connection):
                    self._heard_at = time.monotonic()  # since then, the broker did not even hear
                within = self._within()
                if time.monotonic() - self._heard_at > within:
                    raise NoMajority(f"nothing confirmed for {within} s")
                self._tasks.start(self._knock(shard))
                await asyncio.sleep(KNOCK_EVERY)
        finally:
            self._tasks.cancel()
        raise AssertionError("shards come again and again")

    async def _knock(self, shard: int) -> None:
        exchange, key = self._door(shard)
        try:
            await self.publishers[shard].publish(exchange, key, self._body, expiration=str(int(KNOCK_WITHIN * 1_000)))
        except Unavailable:
            return  # one of many: that none is heard is what counts
        self._heard_at = time.monotonic()
