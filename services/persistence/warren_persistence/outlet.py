"""Tells the world what was stored: events to whoever listens, answers to who asked, poison to the dead letters."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from opentelemetry.trace import Span
from pydantic_core import to_json
from warren.broker.backoff import backoff, pause
from warren.broker.dead import about, dead_letter
from warren.broker.errors import Unavailable
from warren.broker.identity import reply_queue
from warren.broker.publisher import PERSISTENT, Publisher
from warren.broker.tracing import speaking_for
from warren.contract.commands import Accepted, Refused, Replies
from warren.contract.events import About, ChangesStanding, EndsReading, Events
from warren.contract.ids import is_inbox
from warren.contract.sizes import RUN_LIMIT
from warren.contract.topology import COMMANDS, EVENTS, bot_key, event_key, shard_key, shard_queue

from warren_persistence import metrics
from warren_persistence.batch import Batch, Decoded, Poison
from warren_persistence.domain.plan import Plan, Run, runs

log = logging.getLogger(__name__)

Answered = list[tuple[Decoded, list[Accepted | Refused]]]
"""Deliveries, each with the answers to its commands, in their order."""
Place = tuple[str, int]
"""A room and a seq: where an event stands."""

RUN_EVENTS = 32
"""Events in one AMQP message, and so in one client frame."""


class Outlet:
    """Publishes with confirms what must arrive (events, dead letters), and without what is asked for again."""

    def __init__(
        self, confirmed: Publisher, unconfirmed: Publisher, epoch: str, replica: str,
        everything: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        """`everything`: the names of bots that the operator lets read all rooms."""
        self._confirmed = confirmed
        self._unconfirmed = unconfirmed
        self._epoch = epoch
        self._replica = replica
        self._reading = everything

    async def tell(self, batch: Batch, plan: Plan) -> bool:
        """Publish everything about a stored batch; repeat until the broker has it or took the deliveries back.

        Returns whether the deliveries may be acknowledged.
        """
        sends = runs((*plan.new, *plan.again), RUN_EVENTS, RUN_LIMIT, plan.copies)
        answered = _answered(batch, plan)
        spans = _spans(answered)
        for wait in backoff():
            try:
                await asyncio.gather(
                    *(self._event(run, spans) for run in sends),
                    *(self.reply(to, replies) for to, replies in _replies(answered).items()),
                    *(
                        self.bury(poison, shard_queue(shard), COMMANDS, shard_key(shard))
                        for poison, shard in _poison(batch)
                    ),
                )
            except Unavailable as error:
                log.warning("not published", extra={"error": str(error)})
                batch.drop_dead()
                if not batch.parts:
                    return False
                await pause(wait)
            else:
                break
        _count(plan)
        _count_refused(batch)
        if log.isEnabledFor(logging.DEBUG):
            _trace(sends)
        return True

    async def _event(self, run: Run, spans: Mapping[Place, Span]) -> None:
        places = [(run.room, event.seq) for event in run.events]
        with speaking_for(spans[place] for place in places if place in spans):
            await self._publish_run(run)

    async def _publish_run(self, run: Run) -> None:
        body = Events(room=run.room, events=run.events).model_dump_json(exclude_none=True).encode()
        headers: dict[str, Any] = {
            "first": run.events[0].seq,
            "last": run.events[-1].seq,
            "number": run.number,
            "epoch": self._epoch,
            "stored": time.time_ns() // 1_000_000,
        }
        if copies := [*run.copies, *self._everything(run.room)]:
            headers["BCC"] = copies  # the broker takes it off
        for header, kind in (("ends", EndsReading), ("standings", ChangesStanding)):
            if found := [[event.seq, _whose(event), event.type] for event in run.events if isinstance(event, kind)]:
                headers[header] = to_json(found).decode()
        await self._confirmed.publish(
            EVENTS,
            event_key(run.room),
            body,
            delivery_mode=PERSISTENT,
            headers=headers,
            content_type="application/json",
        )

    def _everything(self, room: str) -> list[str]:
        """Return the keys of the bots that read everything: whatever people say to each other, so no inboxes."""
        return [] if is_inbox(room) else [bot_key(name) for name in sorted(self._reading)]

    async def reply(self, reply_to: str, replies: Sequence[Accepted | Refused]) -> None:
        """Answer commands. Raises Unavailable."""
        # Without a confirm: a gateway that misses its answer times out, and the client asks again by key.
        body = Replies(replies=list(replies)).model_dump_json(exclude_none=True).encode()
        await self._unconfirmed.publish("", reply_to, body, message_type="replies")

    async def bury(self, poison: Poison, source: str, exchange: str, key: str) -> None:
        """Put what came from the queue `source` among the dead letters, to be sent again where it says.

        Raises Unavailable.
        """
        metrics.DEAD.inc()
        log.error("dead letter", extra={"reason": poison.reason, "queue": source})
        headers = about(
            reason=poison.reason,
            source=source,
            replica=self._replica,
            publisher=poison.publisher,
            exchange=exchange,
            key=key,
        )
        await dead_letter(self._confirmed, poison.body, headers)


def _whose(event: EndsReading | ChangesStanding) -> str:
    """Return whom an event changes something for; everybody has no id."""
    return event.user if isinstance(event, About) else ""


def _answered(batch: Batch, plan: Plan) -> Answered:
    """Return whose the answers are, by place: ids are whatever their senders chose."""
    answers = iter(plan.answers)
    return [(part, list(islice(answers, len(part.commands)))) for part in batch.parts]


def _spans(answered: Answered) -> dict[Place, Span]:
    """Return in whose name each event is told, of those that are traced."""
    return {
        (command.room, answer.seq): part.span
        for part, answers in answered
        if part.span.is_recording()
        for command, answer in zip(part.commands, answers, strict=True)
        if isinstance(answer, Accepted)
    }


def _replies(answered: Answered) -> dict[str, list[Accepted | Refused]]:
    found: defaultdict[str, list[Accepted | Refused]] = defaultdict(list)
    for part, answers in answered:
        reply_to = reply_queue(part.publisher, part.delivery.message.header.properties.reply_to)
        if reply_to and part.delivery.lease.live:
            found[reply_to] += [*answers, *part.refused]
    return {reply_to: replies for reply_to, replies in found.items() if replies}


def _poison(batch: Batch) -> Iterable[tuple[Poison, int]]:
    return ((poison, part.delivery.lease.shard) for part in batch.parts for poison in part.poison)


def _count(plan: Plan) -> None:
    refused = sum(isinstance(answer, Refused) for answer in plan.answers)
    metrics.COMMANDS.labels("stored").inc(len(plan.new))
    metrics.COMMANDS.labels("refused").inc(refused)
    metrics.COMMANDS.labels("known").inc(len(plan.answers) - refused - len(plan.new))


def _count_refused(batch: Batch) -> None:
    for part in batch.parts:
        for refused in part.refused:
            metrics.BOTS_REFUSED.labels(part.publisher or "", refused.code).inc()


def _trace(sends: Iterable[Run]) -> None:
    for run in sends:
        for event in run.events:
            log.debug("stored", extra={"correlation_id": event.id, "room": run.room, "seq": event.seq})
