"""Consuming the shards of a sharded queue: one replica at a time is a shard's active consumer."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from zlib import crc32

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from warren.broker.backoff import backoff, pause, raise_if_cancelled
from warren.broker.consumer import Acks, close, consume, is_open, open_channel
from warren.broker.errors import Unavailable, translated
from warren.contract.topology import SHARDS
from warren.throttle import LogThrottle

log = logging.getLogger(__name__)

OPENED_WITHIN = 0.5
"""Seconds for which the next shard waits for one before it is consumed, too: one whose queue has no leader at the
moment holds up no others."""
REOPEN_AFTER = 0.2
"""Seconds, about, before a closed channel is opened again …"""
REOPEN_WITHIN = 5.0
"""… and at most, for a shard that keeps closing: its queue may be missing."""


class Lease:
    """A replica's hold on a shard: one channel, from its opening to its end."""

    def __init__(self, shard: int, channel: AbstractChannel) -> None:
        self.shard = shard
        self.channel = channel
        self.acks = Acks(channel)
        self.fenced = asyncio.Event()

    @property
    def live(self) -> bool:
        """Whether its deliveries are still ours: a closed channel gave them back to the broker."""
        return is_open(self.channel) and not self.fenced.is_set()

    async def over(self, closed: Awaitable[object]) -> None:
        """Wait until the channel is closed or the lease fenced."""
        raise_if_cancelled()
        waits = [asyncio.ensure_future(closed), asyncio.ensure_future(self.fenced.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def fence(self) -> None:
        """Give the shard back: somebody else has written to it. It is consumed again, with nothing cached."""
        log.warning("shard fenced", extra={"shard": self.shard})
        self.fenced.set()


Take = Callable[[Lease, DeliveredMessage], None]
"""Called with each delivery of a shard, in order."""


class Shards:
    """Consumes every shard, each on a channel of its own.

    On RabbitMQ 4 the priorities decide who is a shard's active consumer, so that shards spread over the replicas by
    themselves; on 3.x the first to subscribe keeps a shard, so each replica subscribes to its own favourites first and
    replicas that start together share. `prefetch`: deliveries of a shard that are not yet acked. `lost`: called with
    the shard when its channel has ended. `count`: how many there are; a queue that is not sharded is one.
    """

    def __init__(
        self,
        replica: str,
        queue: Callable[[int], str],
        prefetch: int,
        take: Take,
        lost: Callable[[int], None],
        count: int = SHARDS,
    ) -> None:
        self._replica = replica
        self._queue = queue
        self._prefetch = prefetch
        self._take = take
        self._lost = lost
        self._count = count
        self._throttle = LogThrottle()

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume all shards on this connection until it goes away."""
        order = sorted(range(self._count), key=self.priority, reverse=True)
        async with asyncio.TaskGroup() as group:
            for shard in order:
                opened = asyncio.Event()
                group.create_task(self._keep(connection, shard, opened))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(OPENED_WITHIN):
                        await opened.wait()

    def priority(self, shard: int) -> int:
        """Return this replica's consumer priority for the shard, from a hash that differs by replica."""
        return crc32(f"{self._replica}/{shard}".encode()) % 1_000

    async def _keep(self, connection: AbstractConnection, shard: int, opened: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        waits = backoff(REOPEN_AFTER, REOPEN_WITHIN)
        while True:
            started = loop.time()
            try:
                with translated():
                    await self._consume(connection, shard, opened)
            except Unavailable as error:
                what = str(type(error.__cause__))  # the same befalls all shards
                self._throttle.warn(log, what, "shard not consumed", queue=self._queue(shard), error=str(error))
            finally:
                opened.set()
                self._lost(shard)
            if loop.time() - started > REOPEN_WITHIN:
                waits = backoff(REOPEN_AFTER, REOPEN_WITHIN)
            await pause(next(waits))

    async def _consume(self, connection: AbstractConnection, shard: int, opened: asyncio.Event) -> None:
        channel = await open_channel(connection, self._prefetch)
        lease = Lease(shard, await channel.get_underlay_channel())

        def sink(message: DeliveredMessage) -> None:
            self._take(lease, message)

        try:
            await consume(channel, self._queue(shard), sink, arguments={"x-priority": self.priority(shard)})
            opened.set()
            await lease.over(channel.closed())
        finally:
            await lease.acks.flush()
            # Closing, not cancelling the consumer: the unacked deliveries go back before the next one starts.
            await close(channel)
