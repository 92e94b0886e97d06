"""A queue of this gateway's own, bound to the buckets of rooms that somebody here follows."""

import contextlib
from collections.abc import Callable, Iterable

from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import AbstractChannel as UnderlayChannel
from warren.broker.consumer import Sink, consume, declare_own_queue, open_channel
from warren.broker.errors import Unavailable, translated
from warren.contract.topology import bucket_binding

BIND_TIMEOUT = 10.0


class BucketQueue:
    """Consumes a topic exchange in order; what waits beyond `length` messages goes, the oldest first.

    `wanted` tells the buckets to begin with whenever there is a new queue, and `connected` is called when it has them.
    Without `prefetch` nothing is acknowledged. `fanout` is an exchange of which the queue gets everything.
    """

    def __init__(
        self, exchange: str, length: int, take: Sink, wanted: Callable[[], Iterable[int]],
        connected: Callable[[], None], *, prefetch: int = 0, fanout: str | None = None,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._length = length
        self._take = take
        self._wanted = wanted
        self._connected = connected
        self._prefetch = prefetch
        self._fanout = fanout
        self._queue: AbstractQueue | None = None
        self.bound: set[int] = set()
        """The buckets whose messages come."""
        self.channel: UnderlayChannel | None = None
        """What deliveries are acknowledged on."""

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume on this connection until it goes away; a new queue each time."""
        channel = await open_channel(connection, self._prefetch)
        self.channel = await channel.get_underlay_channel()
        queue = await declare_own_queue(connection, channel, self._length)
        self.bound = set()
        self._queue = queue
        try:
            await consume(channel, queue.name, self._take, exclusive=True, no_ack=not self._prefetch)
            if self._fanout is not None:
                await queue.bind(self._fanout, timeout=BIND_TIMEOUT)
            for number in set(self._wanted()):
                await self.bind(number)
            self._connected()
            await channel.closed()
        finally:
            self._queue = None

    async def bind(self, number: int) -> None:
        """Take in a bucket's messages from now on. Raises Unavailable."""
        queue = self._queue
        if queue is None:
            raise Unavailable("no queue at the moment")
        if number not in self.bound:
            with translated():
                await queue.bind(self._exchange, bucket_binding(number), timeout=BIND_TIMEOUT)
            self.bound.add(number)

    async def unbind(self, number: int) -> None:
        """Stop taking in a bucket's messages."""
        queue = self._queue
        if queue is not None and number in self.bound:
            # First: whoever wants it from now on binds again, after this on the same channel.
            self.bound.discard(number)
            with contextlib.suppress(Unavailable), translated():
                await queue.unbind(self._exchange, bucket_binding(number), timeout=BIND_TIMEOUT)
