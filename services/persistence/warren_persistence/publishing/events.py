"""Runs of stored events come in, AMQP messages go out to whoever listens: once, and nobody waits for that.

Whose queue is on a node that is down, or is held up, has no say in when others are served: the broker confirms nothing
of what it routes there. Nor need it, since nothing rests on an event's arrival. Gateways read from the store what they
missed: before the next event, and by the heads, which they compare after each reconnect and every few seconds. What
must arrive waits for confirms elsewhere: commands, notices, dead letters.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span
from pydantic_core import to_json
from warren.broker.errors import Nacked, Unavailable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.broker.tracing import speaking_for
from warren.contract.events import AnyEvent, Events
from warren.contract.ids import is_inbox
from warren.contract.topology import EVENTS, bot_key, event_key
from warren.supervise import Tasks
from warren.throttle import LogThrottle

from warren_persistence import metrics
from warren_persistence.domain.plan import Run

log = logging.getLogger(__name__)

LogPosition = tuple[str, int]
"""A room and a seq: where an event stands."""

PATIENCE = 0.2
"""Seconds for which a batch waits for its confirms, which keeps batches big and has deliveries acknowledged after the
events are out. Once: as long as any message is overdue, no other is waited for."""
TRIES = 2
"""Publications of a message whose channel was lost, so that nobody knows whether the broker had it."""
TRY_WITHIN = 30.0
"""Seconds for each: longer than it takes to reconnect."""
UNCONFIRMED = 1_000
"""Messages that wait for their confirms …"""
UNCONFIRMED_BYTES = 16 * 1024 * 1024
"""… and bytes of them. Beyond either nothing is published: the broker takes nothing in, and readers have the store."""


class EventPublisher:
    """Publishes events, one contiguous run of one room a message. `publisher`'s window has to be UNCONFIRMED wide."""

    def __init__(self, publisher: Publisher, epoch: str, everything: frozenset[str] = frozenset()) -> None:
        """`everything`: the names of bots that the operator lets read all rooms."""
        self._publisher = publisher
        self._epoch = epoch
        self._reading = everything
        self._tasks = Tasks("events")
        self._messages = 0
        self._bytes = 0
        self._overdue: set[asyncio.Task[None]] = set()
        self._throttle = LogThrottle()

    def publish(self, sends: Iterable[Run], spans: Mapping[LogPosition, Span]) -> list[asyncio.Task[None]]:
        """Begin to publish these, in order; `spans`: in whose name."""
        begun = (self._begin(run, spans) for run in sends)
        return [task for task in begun if task is not None]

    async def confirmed(self, begun: Sequence[asyncio.Task[None]]) -> None:
        """Wait until the broker has these, but not for long, and not at all while others are overdue."""
        if begun and not self._overdue:
            _, overdue = await asyncio.wait(begun, timeout=PATIENCE)
            for task in overdue:
                self._overdue.add(task)
                task.add_done_callback(self._overdue.discard)

    def _begin(self, run: Run, spans: Mapping[LogPosition, Span]) -> asyncio.Task[None] | None:
        body = Events(room=run.room, events=run.events).model_dump_json(exclude_none=True).encode()
        if self._messages >= UNCONFIRMED or self._bytes + len(body) > UNCONFIRMED_BYTES:
            self._count("dropped", "too many are not confirmed")
            return None
        places = [(run.room, event.seq) for event in run.events]
        found = [spans[place] for place in places if place in spans]
        self._messages += 1
        self._bytes += len(body)
        task = self._tasks.start(self._publish(run, body, found))
        task.add_done_callback(lambda _: self._forget(body))
        return task

    def _forget(self, body: bytes) -> None:
        self._messages -= 1
        self._bytes -= len(body)

    async def _publish(self, run: Run, body: bytes, spans: Sequence[Span]) -> None:
        outcome, why = "lost", ""
        for _ in range(TRIES):
            try:
                with speaking_for(spans):
                    await self._send(run, body)
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
        if outcome != "confirmed":
            self._throttle.warn(log, outcome, "events not confirmed", outcome=outcome, error=why)

    async def _send(self, run: Run, body: bytes) -> None:
        await self._publisher.publish(
            EVENTS,
            event_key(run.room),
            body,
            delivery_mode=PERSISTENT,
            headers=self._headers(run),
            content_type="application/json",
        )

    def _headers(self, run: Run) -> dict[str, Any]:
        headers: dict[str, Any] = {
            "first": run.events[0].seq,
            "last": run.events[-1].seq,
            "number": run.number,
            "epoch": self._epoch,
            "stored": time.time_ns() // 1_000_000,
        }
        if copies := [*run.copies, *self._everything(run.room)]:
            headers["BCC"] = copies  # the broker takes it off
        for header, flag in (("ends", "ends_reading"), ("standings", "changes_access")):
            if found := [[event.seq, _whose(event), event.type] for event in run.events if getattr(event, flag)]:
                headers[header] = to_json(found).decode()
        return headers

    def _everything(self, room: str) -> list[str]:
        """Return the keys of the bots that read everything: whatever people say to each other, so no inboxes."""
        return [] if is_inbox(room) else [bot_key(name) for name in sorted(self._reading)]


def _whose(event: AnyEvent) -> str:
    """Return whom an event changes something for; everybody has no id."""
    return getattr(event, "user", "")
