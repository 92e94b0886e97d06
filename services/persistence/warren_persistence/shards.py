"""The shards of the command queue that this replica consumes."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from zlib import crc32

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from warren.broker.consumer import ack_through, consume, open_channel
from warren.broker.errors import Unavailable, translated
from warren.contract.topology import SHARDS, shard_queue

log = logging.getLogger(__name__)

PREFETCH = 16
"""AMQP messages delivered and not yet acked, a shard: what bounds the writer's memory. A gateway has one or two
unanswered at a time."""
REOPEN_AFTER = 0.2
"""Seconds before a closed channel is opened again, so that a shard that keeps closing does not spin."""


class Lease:
    """A replica's hold on a shard: one channel, from its opening to its end."""

    def __init__(self, shard: int, channel: AbstractChannel) -> None:
        self.shard = shard
        self.channel = channel
        self.fenced = asyncio.Event()

    @property
    def live(self) -> bool:
        """Whether its deliveries are still ours: a closed channel gave them back to the broker."""
        return not (self.fenced.is_set() or self.channel.is_closed)

    async def over(self, closed: Awaitable[object]) -> None:
        """Wait until the channel is closed or the lease fenced."""
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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One AMQP message of commands. It is settled by the channel it came on, or not at all."""

    lease: Lease
    message: DeliveredMessage


class Inbox:
    """What waits for the writer, over all shards, in each shard's order."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._filled = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        """Add a delivery; never waits, because the channels' prefetch bounds what comes."""
        self._waiting.append(delivery)
        self._filled.set()

    def __len__(self) -> int:
        """Return how many deliveries wait."""
        return len(self._waiting)

    async def take(self) -> Delivery:
        """Return the next live delivery, waiting for one."""
        while True:
            while self._waiting:
                delivery = self._waiting.popleft()
                if delivery.lease.live:
                    return delivery
            self._filled.clear()
            await self._filled.wait()

    def take_now(self) -> Delivery | None:
        """Return the next live delivery if one waits."""
        while self._waiting:
            delivery = self._waiting.popleft()
            if delivery.lease.live:
                return delivery
        return None


class Shards:
    """Consumes every shard, each on a channel of its own.

    One replica at a time is a shard's active consumer. On RabbitMQ 4 the priorities decide which, so that shards
    spread over the replicas by themselves; on 3.x the first to subscribe keeps a shard, so each replica subscribes
    to its own favourites first and replicas that start together share.
    """

    def __init__(self, replica: str, inbox: Inbox, lost: Callable[[int], None]) -> None:
        self._replica = replica
        self._inbox = inbox
        self._lost = lost

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume all shards on this connection until it goes away."""
        order = sorted(range(SHARDS), key=self.priority, reverse=True)
        async with asyncio.TaskGroup() as group:
            for shard in order:
                opened = asyncio.Event()
                group.create_task(self._keep(connection, shard, opened))
                await opened.wait()

    def priority(self, shard: int) -> int:
        """Return this replica's consumer priority for the shard, from a hash that differs by replica."""
        return crc32(f"{self._replica}/{shard}".encode()) % 1_000

    async def _keep(self, connection: AbstractConnection, shard: int, opened: asyncio.Event) -> None:
        while True:
            try:
                with translated():
                    await self._consume(connection, shard, opened)
            except Unavailable as error:
                log.warning("shard not consumed", extra={"shard": shard, "error": str(error)})
            finally:
                opened.set()
                self._lost(shard)
            await asyncio.sleep(REOPEN_AFTER)

    async def _consume(self, connection: AbstractConnection, shard: int, opened: asyncio.Event) -> None:
        channel = await open_channel(connection, PREFETCH)
        lease = Lease(shard, await channel.get_underlay_channel())

        def sink(message: DeliveredMessage) -> None:
            self._inbox.put(Delivery(lease, message))

        try:
            await consume(channel, shard_queue(shard), sink, arguments={"x-priority": self.priority(shard)})
            opened.set()
            await lease.over(channel.closed())
        finally:
            # Closing, not cancelling the consumer: the unacked deliveries go back before the next one starts.
            with contextlib.suppress(Unavailable), translated():
                await channel.close()


async def settle(deliveries: list[Delivery]) -> None:
    """Acknowledge whole deliveries, in the order they came; those of a closed channel are not ours any more."""
    last: dict[AbstractChannel, int] = {}
    for delivery in deliveries:
        tag = delivery.message.delivery_tag
        if tag is not None:
            last[delivery.lease.channel] = max(tag, last.get(delivery.lease.channel, 0))
    for channel, tag in last.items():
        with contextlib.suppress(Unavailable), translated():
            await ack_through(channel, tag)
