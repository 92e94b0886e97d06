"""The events of the rooms that somebody here follows, as they come from the broker."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from opentelemetry.trace import Span
from pydantic_core import from_json
from warren.broker.consumer import Acks
from warren.broker.tracing import TRACEPARENT, receiving
from warren.contract.ids import INBOX, is_inbox, shown
from warren.contract.topology import EVENTS

from warren_gateway import metrics
from warren_gateway.buckets import BucketQueue
from warren_gateway.view import Chunk, Turn, merge, split

LENGTH = 20_000
"""Messages that may wait for a gateway that lags; older ones go, and the holes are filled from the store."""
PREFETCH = 500

Take = Callable[[str, str, Chunk], None]
"""Called with room, epoch and chunk."""


class Feed:
    """Consumes events in order. What is lost while the connection is, the heads show afterwards."""

    def __init__(self, take: Take, wanted: Callable[[], Iterable[int]], connected: Callable[[], None]) -> None:
        self._take = take
        self._queue = BucketQueue(EVENTS, LENGTH, self._sink, wanted, connected, prefetch=PREFETCH)
        self.bind, self.unbind = self._queue.bind, self._queue.unbind
        self._unacked: tuple[UnderlayChannel | None, int | None] | None = None
        self._arrived: dict[tuple[str, str], list[Chunk]] = {}
        self._stored: list[float] = []
        self._spans: list[Span] = []
        """Of those messages of this turn that are traced: they end when all readers' frames are written."""
        self._acks: Acks | None = None

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume on this connection until it goes away."""
        await self._queue.serve(connection)

    def _sink(self, message: DeliveredMessage) -> None:
        """Gather what arrives in one turn of the event loop, so that a room's readers get it in one frame."""
        headers: dict[str, Any] = message.header.properties.headers or {}
        room = (message.routing_key or "").split(".", 2)[2]
        body = _renamed(room, message.body) if is_inbox(room) else message.body
        ends, standings = _turns(headers, "ends"), _turns(headers, "standings")
        chunk = Chunk(shown(room), body, headers["first"], headers["last"], headers["number"], ends, standings)
        if self._unacked is None:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unacked = (self._queue.channel, message.delivery_tag)
        self._arrived.setdefault((room, str(headers["epoch"])), []).append(chunk)
        self._stored.append(headers["stored"] / 1_000)
        if TRACEPARENT in headers:
            self._spans.append(receiving(EVENTS, headers))

    def _flush(self) -> None:
        arrived, self._arrived = self._arrived, {}
        for (room, epoch), chunks in arrived.items():
            for chunk in merge(shown(room), chunks):
                for piece in split(chunk):
                    self._take(room, epoch, piece)
        now = time.time()
        for stored in self._stored:
            metrics.DELIVERY.observe(max(0.0, now - stored))
        self._stored.clear()
        for span in self._spans:
            span.end()
        self._spans.clear()
        channel, tag = self._unacked or (None, None)
        self._unacked = None
        if tag is None or channel is None:
            return
        if self._acks is None or self._acks.channel is not channel:
            self._acks = Acks(channel)
        self._acks.through(tag)


def _renamed(room: str, body: bytes) -> bytes:
    """Return the frame with the name that the inbox's owner knows it by. (The first match is the frame's own field.)"""
    return body.replace(b'"room":"%s"' % room.encode(), b'"room":"%s"' % INBOX.encode(), 1)


def _turns(headers: dict[str, Any], name: str) -> tuple[Turn, ...]:
    found = headers.get(name)
    return tuple((seq, user, kind) for seq, user, kind in from_json(found)) if found else ()
