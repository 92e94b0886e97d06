"""The wiring of the service: what is made of what, started and stopped in which order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren.broker.nodes import Nodes
from warren.broker.supervised_connection import SupervisedConnection
from warren.contract.topology import PRESENCE, shard_key
from warren.ops.health import Checks
from warren.ops.serve import background

from warren_presence.config import Settings
from warren_presence.last_seen import LastSeen
from warren_presence.service import PresenceService
from warren_presence.store import connect

MEASURE_EVERY = 5.0
"""Seconds between settings of the gauges, which takes a look at every room."""


@asynccontextmanager
async def work(settings: Settings) -> AsyncIterator[Checks]:
    """Work in the background. MongoDB is no check: presence goes on without it."""
    store = connect(settings.mongo_url)
    seen = LastSeen(store)
    service = PresenceService(settings.replica, seen)
    supervised = SupervisedConnection(
        Nodes(settings.amqp_url),
        f"presence/{settings.replica}",
        service.serve,
        lambda shard: (PRESENCE, shard_key(shard)),
    )
    try:
        async with background(
            asyncio.create_task(supervised.run(), name="presence"),
            asyncio.create_task(seen.run(), name="last seen"),
            asyncio.create_task(_update_gauges(service), name="gauges"),
        ):
            yield {"broker": lambda: supervised.up}
    finally:
        store.close()


async def _update_gauges(service: PresenceService) -> None:
    while True:
        await asyncio.sleep(MEASURE_EVERY)
        service.measure()
