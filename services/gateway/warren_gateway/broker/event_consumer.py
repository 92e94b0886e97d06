"""Consumes the events of the rooms that somebody here follows: AMQP messages come in, batches go out by room."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
from warren.supervise import contained

from warren_gateway import metrics
from warren_gateway.broker.bucket_queue import BucketQueue
from warren_gateway.delivery.batch import AccessChange, EventBatch, merge, split

LENGTH = 20_000
"""Messages that may wait for a gateway that lags; older ones go, and the gaps are filled from the store."""
PREFETCH = 500

Take = Callable[[str, str, EventBatch], None]
"""Called with room, epoch and batch."""


@dataclass(slots=True)
class _Arrived:
    """What has arrived in one iteration of the event loop, and the last delivery of it."""

    channel: UnderlayChannel | None
    tag: int | None = None
    batches: dict[tuple[str, str], list[EventBatch]] = field(default_factory=dict)
    """By room and epoch."""
    stored: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    """Of those messages that are traced: they end when all readers' frames are written."""


class EventConsumer:
    """Consumes events in order. What is lost while the connection is, the heads show afterwards.

    `lost` is called with a room of which something came that makes no sense: the store knows what it was.
    """

    def __init__(self, take: Take, lost: Callable[[str], None], connected: Callable[[], None]) -> None:
        self._take = take
        self._lost = lost
        self.queue = BucketQueue(EVENTS, LENGTH, self._sink, connected, prefetch=PREFETCH)
        self._arrived: _Arrived | None = None
        """None as long as nothing is to be handed on, for which it is scheduled with what arrives first."""
        self._acks: Acks | None = None

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume on this connection until it goes away."""
        await self.queue.serve(connection)

    def _sink(self, message: DeliveredMessage) -> None:
        """Gather what arrives in one iteration of the event loop, so that a room's readers get it in one frame."""
        arrived = self._arrived
        if arrived is None:
            arrived = self._arrived = _Arrived(self.queue.channel)
            asyncio.get_running_loop().call_soon(self._flush)
        arrived.tag = message.delivery_tag
        room = (message.routing_key or "").rpartition(".")[2]
        with contained("events", lambda: self._lost(room), room=room):
            _add(arrived, room, message)

    def _flush(self) -> None:
        """Hand on what has arrived, and acknowledge it whatever comes of that: what is lost is read from the store."""
        arrived, self._arrived = self._arrived, None
        if arrived is None:
            return
        for (room, epoch), batches in arrived.batches.items():
            with contained("events", lambda room=room: self._lost(room), room=room):  # type: ignore[misc]
                for batch in merge(shown(room), batches):
                    for piece in split(batch):
                        self._take(room, epoch, piece)
        now = time.time()
        for stored in arrived.stored:
            metrics.DELIVERY.observe(max(0.0, now - stored))
        for span in arrived.spans:
            span.end()
        self._acknowledge(arrived)

    def _acknowledge(self, arrived: _Arrived) -> None:
        if arrived.channel is None or arrived.tag is None:
            return
        if self._acks is None or self._acks.channel is not arrived.channel:
            self._acks = Acks(arrived.channel)
        self._acks.through(arrived.tag)


def _add(arrived: _Arrived, room: str, message: DeliveredMessage) -> None:
    """Add a message. Raises ValueError, TypeError or KeyError if its headers are none of this version."""
    headers: dict[str, Any] = message.header.properties.headers or {}
    body = _renamed(room, message.body) if is_inbox(room) else message.body
    first, last, number, stored = (int(headers[name]) for name in ("first", "last", "number", "stored"))
    if not 1 <= first <= last:
        raise ValueError(f"events {first} to {last}")
    revocations, changes = _changes(headers, "ends"), _changes(headers, "standings")
    if any(not first <= seq <= last for seq, _, _ in (*revocations, *changes)):
        raise ValueError(f"of other events than {first} to {last}")
    batch = EventBatch(shown(room), body, first, last, number, revocations, changes)
    arrived.batches.setdefault((room, str(headers["epoch"])), []).append(batch)
    arrived.stored.append(stored / 1_000)
    if TRACEPARENT in headers:
        arrived.spans.append(receiving(EVENTS, headers))


def _renamed(room: str, body: bytes) -> bytes:
    """Return the frame with the name that the inbox's owner knows it by. (The first match is the frame's own field.)"""
    return body.replace(b'"room":"%s"' % room.encode(), b'"room":"%s"' % INBOX.encode(), 1)


def _changes(headers: dict[str, Any], name: str) -> tuple[AccessChange, ...]:
    found = headers.get(name)
    return tuple((int(seq), str(user), str(kind)) for seq, user, kind in from_json(found)) if found else ()
