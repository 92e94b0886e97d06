"""A queue of this gateway's own, bound to the buckets of rooms that somebody here follows."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import AbstractChannel as UnderlayChannel
from warren.broker.consumer import Sink, consume, declare_own_queue, open_channel, until_gone
from warren.broker.errors import Unavailable, translated
from warren.contract.topology import bucket, bucket_binding

BIND_TIMEOUT = 10.0


class BucketQueue:
    """Consumes a topic exchange in order; what waits beyond `length` messages goes, the oldest first.

    `connected` is called whenever there is a new queue and it has all buckets that are wanted. Without `prefetch`
    nothing is acknowledged. `fanout` is an exchange of which the queue gets everything, `always` a bucket that it takes
    in whatever is followed.
    """

    def __init__(
        self, exchange: str, length: int, take: Sink, connected: Callable[[], None], *, prefetch: int = 0,
        fanout: str | None = None, always: int | None = None,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._length = length
        self._take = take
        self._connected = connected
        self._prefetch = prefetch
        self._fanout = fanout
        self._always = always
        self._queue: AbstractQueue | None = None
        self._wanted: Counter[int] = Counter()
        """By bucket, how many rooms of it are followed."""
        self._bound: set[int] = set()
        """The buckets whose messages come."""
        self._binding = asyncio.Lock()
        """One bind at a time is on the channel, which carries out one after the other anyhow: what else is asked there,
        as whether the queue is there, would wait behind those of hundreds of rooms for longer than it may."""
        self.channel: UnderlayChannel | None = None
        """What deliveries are acknowledged on."""

    def follow(self, room: str) -> None:
        """Want a room's messages, from the next `bind` on."""
        self._wanted[bucket(room)] += 1

    def unfollow(self, room: str) -> None:
        """Want them no more; they come until the next `tidy`."""
        number = bucket(room)
        self._wanted[number] -= 1
        if not self._wanted[number]:
            del self._wanted[number]

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume on this connection until it goes away; a new queue each time."""
        channel = await open_channel(connection, self._prefetch)
        self.channel = await channel.get_underlay_channel()
        queue = await declare_own_queue(connection, channel, self._length)
        self._bound = set()
        self._queue = queue
        try:
            await consume(channel, queue.name, self._take, exclusive=True, no_ack=not self._prefetch)
            if self._fanout is not None:
                await queue.bind(self._fanout, timeout=BIND_TIMEOUT)
            if self._always is not None:
                await queue.bind(self._exchange, bucket_binding(self._always), timeout=BIND_TIMEOUT)
            await self.bind_all()
            self._connected()
            await until_gone(channel, queue)
        finally:
            self._queue = None

    async def bind_all(self) -> None:
        """Take in all that is wanted from now on. Raises Unavailable."""
        while missing := self._wanted.keys() - self._bound:
            for number in missing:
                await self._bind(number)

    async def bind(self, room: str) -> None:
        """Take in a room's messages from now on. Raises Unavailable."""
        await self._bind(bucket(room))

    async def tidy(self) -> None:
        """Stop taking in what nobody wants any more."""
        for number in self._bound - self._wanted.keys():
            if number not in self._wanted:  # somebody may have come while the others were given up
                await self._unbind(number)

    async def _bind(self, number: int) -> None:
        async with self._binding:
            queue, bound = self._queue, self._bound
            if queue is None:
                raise Unavailable("no queue at the moment")
            if number not in bound:
                with translated():
                    await queue.bind(self._exchange, bucket_binding(number), timeout=BIND_TIMEOUT)
                bound.add(number)

    async def _unbind(self, number: int) -> None:
        queue = self._queue
        if queue is not None and number in self._bound:
            # First: whoever wants it from now on binds again, after this on the same channel.
            self._bound.discard(number)
            with contextlib.suppress(Unavailable), translated():
                await queue.unbind(self._exchange, bucket_binding(number), timeout=BIND_TIMEOUT)
