"""What waits for the writer: deliveries come in from all shards that this replica consumes, and go out in order.

The forwarder of bots' commands has one, too.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from aiormq.abc import DeliveredMessage
from warren.broker.shards import Lease

PREFETCH = 16
"""AMQP messages delivered and not yet acked, a shard: what bounds the writer's memory. A gateway has one or two
unanswered at a time."""

STILL_TURNS = 8
"""Turns of the event loop without a delivery, after which none is on its way through aiormq."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One AMQP message of commands. It is settled by the channel it came on, or not at all."""

    lease: Lease
    message: DeliveredMessage


class DeliveryQueue:
    """What waits, over all shards, in each shard's order."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._filled = asyncio.Event()

    def put(self, lease: Lease, message: DeliveredMessage) -> None:
        """Add a delivery; never waits, because the channels' prefetch bounds what comes."""
        self._waiting.append(Delivery(lease, message))
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

    async def settle(self, limit: int) -> None:
        """Return when no more have come for some turns of the event loop, or so many wait.

        What one read of the socket has brought, aiormq delivers bit by bit, turn by turn.
        """
        waiting, still = len(self._waiting), 0
        while still < STILL_TURNS and waiting < limit:
            await asyncio.sleep(0)
            still = still + 1 if len(self._waiting) == waiting else 0
            waiting = len(self._waiting)

    def take_now(self) -> Delivery | None:
        """Return the next live delivery if one waits."""
        while self._waiting:
            delivery = self._waiting.popleft()
            if delivery.lease.live:
                return delivery
        return None


def acknowledge(deliveries: Iterable[Delivery]) -> None:
    """Acknowledge whole deliveries, in the order they came; those of a closed channel are not ours any more."""
    for delivery in deliveries:
        if delivery.message.delivery_tag is not None:
            delivery.lease.acks.through(delivery.message.delivery_tag)
