"""The gateway's own queue of events, bound to the buckets of the rooms that somebody here follows."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from pydantic_core import from_json
from warren.broker.consumer import ack_through, consume, open_channel
from warren.broker.errors import Unavailable, translated
from warren.broker.identity import own_queue
from warren.contract.ids import INBOX, is_inbox, shown
from warren.contract.topology import EVENTS, bucket_binding

from warren_gateway import metrics
from warren_gateway.view import Chunk, merge

log = logging.getLogger(__name__)

LENGTH = 20_000
"""Messages that may wait for a gateway that lags; older ones go, and the holes are filled from the store."""
PREFETCH = 500
BIND_TIMEOUT = 10.0

Take = Callable[[str, str, Chunk], None]
"""Called with room, epoch and chunk."""


class Feed:
    """Consumes events in order. What is lost while the connection is, the heads show afterwards."""

    def __init__(self, take: Take, wanted: Callable[[], Iterable[int]], connected: Callable[[], None]) -> None:
        self._take = take
        self._wanted = wanted
        self._connected = connected
        self._queue: AbstractQueue | None = None
        self._bound: set[int] = set()
        self._channel: UnderlayChannel | None = None
        self._unacked: int | None = None
        self._arrived: dict[tuple[str, str], list[Chunk]] = {}
        self._stored: list[float] = []
        self._acks: set[asyncio.Task[None]] = set()

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume on this connection until it goes away; a new queue each time, bound to what is wanted now."""
        channel = await open_channel(connection, PREFETCH)
        self._channel = await channel.get_underlay_channel()
        self._unacked = None
        queue = await channel.declare_queue(
            own_queue(connection),
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": LENGTH, "x-overflow": "drop-head"},
            timeout=10,
        )
        self._bound = set()
        self._queue = queue
        try:
            await consume(channel, queue.name, self._sink, exclusive=True)
            for number in set(self._wanted()):
                await self.bind(number)
            self._connected()
            await channel.closed()
        finally:
            self._queue = None

    async def bind(self, number: int) -> None:
        """Take in a bucket's events from now on. Raises Unavailable."""
        queue = self._queue
        if queue is None:
            raise Unavailable("no event queue at the moment")
        if number not in self._bound:
            with translated():
                await queue.bind(EVENTS, bucket_binding(number), timeout=BIND_TIMEOUT)
            self._bound.add(number)

    async def unbind(self, number: int) -> None:
        """Stop taking in a bucket's events."""
        queue = self._queue
        if queue is not None and number in self._bound:
            # First: whoever wants it from now on binds again, after this on the same channel.
            self._bound.discard(number)
            with contextlib.suppress(Unavailable), translated():
                await queue.unbind(EVENTS, bucket_binding(number), timeout=BIND_TIMEOUT)

    def _sink(self, message: DeliveredMessage) -> None:
        """Gather what arrives in one turn of the event loop, so that a room's readers get it in one frame."""
        headers: dict[str, Any] = message.header.properties.headers or {}
        room = (message.routing_key or "").split(".", 2)[2]
        body = _renamed(room, message.body) if is_inbox(room) else message.body
        ends = tuple((seq, user, kind) for seq, user, kind in from_json(headers.get("ends", "[]")))
        chunk = Chunk(headers["first"], headers["last"], headers["number"], body, ends)
        if self._unacked is None:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unacked = message.delivery_tag
        self._arrived.setdefault((room, str(headers["epoch"])), []).append(chunk)
        self._stored.append(headers["stored"] / 1_000)

    def _flush(self) -> None:
        arrived, self._arrived = self._arrived, {}
        for (room, epoch), chunks in arrived.items():
            for chunk in merge(shown(room), chunks):
                self._take(room, epoch, chunk)
        now = time.time()
        for stored in self._stored:
            metrics.DELIVERY.observe(max(0.0, now - stored))
        self._stored.clear()
        tag, self._unacked = self._unacked, None
        if tag is not None and self._channel is not None and not self._channel.is_closed:
            task = asyncio.create_task(_ack(self._channel, tag))
            self._acks.add(task)
            task.add_done_callback(self._acks.discard)


def _renamed(room: str, body: bytes) -> bytes:
    """Return the frame with the name that the inbox's owner knows it by. (The first match is the frame's own field.)"""
    return body.replace(b'"room":"%s"' % room.encode(), b'"room":"%s"' % INBOX.encode(), 1)


async def _ack(channel: UnderlayChannel, tag: int) -> None:
    with contextlib.suppress(Unavailable), translated():
        await ack_through(channel, tag)
