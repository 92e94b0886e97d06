"""Runs of stored events come in, AMQP messages go out to whoever listens: once, and nobody waits for that.

Whose queue is on a node that is down, or is held up, has no say in when others are served: the broker confirms nothing
of what it routes there. Nor need it, since nothing rests on an event's arrival. Gateways read from the store what they
missed: before the next event, and by the heads, which they compare after each reconnect and every few seconds. What
must arrive waits for confirms elsewhere: commands, notices, dead letters.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from opentelemetry.trace import Span
from warren.broker.errors import Nacked, Unavailable, Unroutable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.broker.tracing import speaking_for
from warren.contract.topology import EVENTS
from warren.supervise import Tasks
from warren.throttle import LogThrottle

from warren_persistence import metrics
from warren_persistence.domain.plan import Run
from warren_persistence.publishing.event_messages import EventMessage, EventMessages

log = logging.getLogger(__name__)

LogPosition = tuple[str, int]
"""A room and a seq: where an event stands."""

PATIENCE = 0.2
"""Seconds for which deliveries wait for the confirms of their events, so that whoever gets them again publishes what is
lost. Once: as long as any message is overdue, no other is waited for."""
TRIES = 2
"""Publications of a message whose channel was lost, so that nobody knows whether the broker had it."""
TRY_WITHIN = 30.0
"""Seconds for each: longer than it takes to reconnect."""
UNCONFIRMED = 1_000
"""Messages that wait for their confirms …"""
UNCONFIRMED_BYTES = 16 * 1024 * 1024
"""… and bytes of them. Beyond either nothing is published: the broker takes nothing in, and readers have the store."""


class EventPublisher:
    """Publishes what `messages` makes of runs. `publisher`'s window has to be UNCONFIRMED wide."""

    def __init__(self, publisher: Publisher, messages: EventMessages) -> None:
        self._publisher = publisher
        self._messages = messages
        self._tasks = Tasks("events")
        self._bytes = 0
        self._overdue: set[asyncio.Task[None]] = set()
        self._throttle = LogThrottle()

    def publish(self, sends: Iterable[Run], spans: Mapping[LogPosition, Span]) -> None:
        """Begin to publish these, in order; `spans`: in whose name."""
        for message in self._messages.of(sends):
            self._begin(message, spans)

    async def confirmed(self) -> None:
        """Wait until the broker has what was published, but not for long, and not at all while any of it is overdue."""
        if self._tasks.running and not self._overdue:
            _, overdue = await asyncio.wait(self._tasks.running, timeout=PATIENCE)
            for task in overdue:
                self._overdue.add(task)
                task.add_done_callback(self._overdue.discard)

    def _begin(self, message: EventMessage, spans: Mapping[LogPosition, Span]) -> None:
        if len(self._tasks.running) >= UNCONFIRMED or self._bytes + len(message.body) > UNCONFIRMED_BYTES:
            self._count("dropped", "too many are not confirmed")
            return
        found = [spans[position] for position in _positions(message) if position in spans] if spans else []
        self._bytes += len(message.body)
        task = self._tasks.start(self._publish(message, found))
        task.add_done_callback(lambda _: self._forget(message))

    def _forget(self, message: EventMessage) -> None:
        self._bytes -= len(message.body)

    async def _publish(self, message: EventMessage, spans: Sequence[Span]) -> None:
        outcome, why = "lost", ""
        for _ in range(TRIES):
            try:
                with speaking_for(spans):
                    await self._send(message)
            except Unroutable:
                outcome = "unheard"
                self._messages.unbound.add(message.keys)
            except Nacked as error:  # by one queue: the others have it
                outcome, why = "refused", str(error)
            except Unavailable as error:
                why = str(error)
                continue
            else:
                outcome = "confirmed"
            break
        self._count(outcome, why)

    def _count(self, outcome: str, why: str) -> None:
        metrics.EVENTS.labels(outcome).inc()
        if outcome not in ("confirmed", "unheard"):
            self._throttle.warn(log, outcome, "events not confirmed", outcome=outcome, error=why)

    async def _send(self, message: EventMessage) -> None:
        key, *others = message.keys
        await self._publisher.publish(
            EVENTS,
            key,
            message.body,
            mandatory=message.for_bots,
            delivery_mode=PERSISTENT,
            headers={**message.headers, "BCC": others} if others else message.headers,  # the broker takes it off
            content_type="application/json" if message.kind is None else "application/octet-stream",
            message_type=message.kind,
        )


def _positions(message: EventMessage) -> Iterator[LogPosition]:
    return ((run.room, event.seq) for run in message.runs for event in run.events)
