"""Consumes the events of the rooms that somebody here follows: AMQP messages come in, batches go out by room."""

import asyncio
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from opentelemetry.trace import Span
from warren.broker.consumer import Acks
from warren.broker.tracing import TRACEPARENT, receiving
from warren.contract.bundles import BundledRun
from warren.contract.ids import shown
from warren.contract.topology import COMMON_BUCKET, EVENTS
from warren.supervise import contained, failed

from warren_gateway import metrics
from warren_gateway.broker.bucket_queue import BucketQueue
from warren_gateway.broker.event_decoder import batch_of, is_bundle, room_of, run_of, runs_of
from warren_gateway.delivery.batch import EventBatch, merge, split

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

    def add(self, epoch: str, run: BundledRun) -> None:
        """Add a run. Raises ValueError if it makes no sense."""
        self.batches.setdefault((run.room, epoch), []).append(batch_of(run))

    def note(self, message: DeliveredMessage, stored: int) -> None:
        """Take note of a message of which something was added, and of when that was stored, in Unix milliseconds."""
        self.stored.append(stored / 1_000)
        headers = message.header.properties.headers
        if headers and TRACEPARENT in headers:
            self.spans.append(receiving(EVENTS, headers))


class EventConsumer:
    """Consumes events in order. What is lost while the connection is, the heads show afterwards.

    `lost` is called with a room of which something came that makes no sense: the store knows what it was; `lost_all`
    when nobody knows of which rooms it was, and whenever there is a new queue. `followed`: the rooms.
    """

    def __init__(
        self, take: Take, lost: Callable[[str], None], lost_all: Callable[[], None], followed: Container[str]
    ) -> None:
        self._take = take
        self._lost = lost
        self._lost_all = lost_all
        self._followed = followed
        self.queue = BucketQueue(EVENTS, LENGTH, self._sink, lost_all, prefetch=PREFETCH, always=COMMON_BUCKET)
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
        if is_bundle(message):
            with contained("events", self._lost_all):
                self._add_bundle(arrived, message)
        else:
            room = room_of(message)
            with contained("events", lambda: self._lost(room), room=room):
                epoch, stored, run = run_of(message)
                arrived.add(epoch, run)
                arrived.note(message, stored)

    def _add_bundle(self, arrived: _Arrived, message: DeliveredMessage) -> None:
        """Add the runs of rooms that are followed. Raises ValueError if the message is no bundle."""
        index, runs = runs_of(message, self._followed)
        followed = False
        for run in runs:
            followed = True
            try:
                arrived.add(index.epoch, run)
            except ValueError as error:  # `contained` would cost as much as all else that is done with a run
                failed("events", error, room=run.room)
                self._lost(run.room)
        if followed:
            arrived.note(message, index.stored)

    def _flush(self) -> None:
        """Hand on what has arrived, and acknowledge it whatever comes of that: what is lost is read from the store."""
        arrived, self._arrived = self._arrived, None
        if arrived is None:
            return
        for (room, epoch), batches in arrived.batches.items():
            try:  # likewise: there may be a hundred rooms
                for batch in merge(shown(room), batches):
                    for piece in split(batch):
                        self._take(room, epoch, piece)
            except Exception as error:
                failed("events", error, room=room)
                self._lost(room)
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
