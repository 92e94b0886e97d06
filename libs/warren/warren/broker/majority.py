"""Notices a node that has lost the majority of its cluster: it takes connections and answers, and nothing comes of it.

Whatever lasts there, commands and their deliveries above all, needs the majority of a quorum queue's members. So probes
are published to the queues of presence, one after the other; their consumers ignore them. The leaders of
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
from warren.broker.liveness import unblocked
from warren.broker.publisher import Publisher
from warren.broker.standstill import stood_still
from warren.contract.presence import OwnershipProbe
from warren.contract.topology import SHARDS
from warren.supervise import Tasks

PROBE_EVERY = 0.25
"""Seconds: so twelve of the queues are tried within the patience that there is with one of several nodes."""
CONFIRM_WITHIN = 10.0
"""Seconds for one to be confirmed: more than the patience there is during elections."""

ProbeRoute = Callable[[int], tuple[str, str]]
"""Returns the exchange and routing key of a shard's presence queue; they depend on the user's rights."""


async def watch_majority(
    connection: AbstractConnection, probe_route: ProbeRoute, name: str, within: Callable[[], float]
) -> None:
    """Publish probes until cancelled. Raises Unavailable: NoMajority if nothing was confirmed for so many seconds.

    `within`: how many these are at the moment.
    """
    probe = _MajorityProbe(probe_route, name, within)
    async with asyncio.TaskGroup() as group:
        for publisher in probe.publishers:
            group.create_task(until_lost(publisher.serve(connection)))
        group.create_task(until_lost(probe.run(connection)))


class _MajorityProbe:
    def __init__(self, probe_route: ProbeRoute, name: str, within: Callable[[], float]) -> None:
        self.publishers = [Publisher(timeout=CONFIRM_WITHIN) for _ in range(SHARDS)]
        """One for each queue: a channel that publishes to a queue for the first time waits for its leader."""
        self._probe_route = probe_route
        self._body = OwnershipProbe(replica=name).model_dump_json().encode()
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
                self._tasks.start(self._probe(shard))
                began = time.monotonic()
                await asyncio.sleep(PROBE_EVERY)
                self._heard_at += stood_still(began, PROBE_EVERY)
        finally:
            self._tasks.cancel()
        raise AssertionError("shards come again and again")

    async def _probe(self, shard: int) -> None:
        exchange, key = self._probe_route(shard)
        try:
            await self.publishers[shard].publish(exchange, key, self._body, expiration=str(int(CONFIRM_WITHIN * 1_000)))
        except Unavailable:
            return  # one of many: that none is heard is what counts
        self._heard_at = time.monotonic()
