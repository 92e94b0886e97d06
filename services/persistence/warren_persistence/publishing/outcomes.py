"""Tells what became of a batch: answers to who asked, poison to the dead letters; events by `event_publisher`."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

from opentelemetry.trace import Span
from warren.broker.backoff import backoff, pause
from warren.broker.dead_letters import dead_letter as publish_dead_letter
from warren.broker.dead_letters import dead_letter_headers
from warren.broker.errors import Unavailable
from warren.broker.identity import reply_queue
from warren.broker.publisher import Publisher
from warren.contract.commands import Accepted, Refused, Replies
from warren.contract.sizes import RUN_LIMIT
from warren.contract.topology import COMMANDS, shard_key, shard_queue

from warren_persistence import metrics
from warren_persistence.commands.batch import Batch, Decoded, Poison
from warren_persistence.domain.plan import Plan, Run, runs
from warren_persistence.publishing.events import EventPublisher, LogPosition

log = logging.getLogger(__name__)

Answered = list[tuple[Decoded, list[Accepted | Refused]]]
"""Deliveries, each with the answers to its commands, in their order."""

RUN_EVENTS = 32
"""Events in one AMQP message, and so in one client frame."""


class OutcomePublisher:
    """Publishes with confirms what must arrive (dead letters), and without what is asked for again (answers)."""

    def __init__(self, events: EventPublisher, confirmed: Publisher, unconfirmed: Publisher, replica: str) -> None:
        self._events = events
        self._confirmed = confirmed
        self._unconfirmed = unconfirmed
        self._replica = replica

    async def publish(self, batch: Batch, plan: Plan) -> bool:
        """Publish everything about a stored batch; repeat what must arrive until it has, or the deliveries went back.

        Returns whether the deliveries may be acknowledged, once the events are `confirmed`.
        """
        _count(batch, plan)  # first: whoever has an answer finds it counted
        answered = _answered(batch, plan)
        if not await self._repeat(batch, lambda: self._answer(answered)):
            return False
        await asyncio.sleep(0)  # the answers go out, which somebody waits for, before the events are made
        sends = runs((*plan.new, *plan.again), RUN_EVENTS, RUN_LIMIT, plan.copies)
        self._events.publish(sends, _spans(answered))
        if log.isEnabledFor(logging.DEBUG):
            _trace(sends)
        return await self._repeat(batch, lambda: self._dead_letter_poison(batch))

    async def confirmed(self) -> None:
        """Wait until the broker has the published events, but not for long: nothing rests on their arrival."""
        await self._events.confirmed()

    async def _repeat(self, batch: Batch, publish: Callable[[], Awaitable[None]]) -> bool:
        """Publish something until the broker has taken it; False if the deliveries went back meanwhile."""
        for wait in backoff():
            try:
                await publish()
            except Unavailable as error:
                log.warning("outcomes not published", extra={"error": str(error)})
                batch.drop_dead()
                if not batch.parts:
                    return False
                await pause(wait)
            else:
                break
        return True

    async def _answer(self, answered: Answered) -> None:
        for to, replies in _replies(answered).items():
            await self.reply(to, replies)

    async def _dead_letter_poison(self, batch: Batch) -> None:
        for poison, shard in _poison(batch):
            await self.dead_letter(poison, shard_queue(shard), COMMANDS, shard_key(shard))

    async def reply(self, reply_to: str, replies: Sequence[Accepted | Refused]) -> None:
        """Answer commands. Raises Unavailable."""
        # Without a confirm: a gateway that misses its answer times out, and the client asks again by key.
        body = Replies(replies=list(replies)).model_dump_json(exclude_none=True).encode()
        await self._unconfirmed.publish("", reply_to, body, message_type="replies")

    async def dead_letter(self, poison: Poison, source: str, exchange: str, key: str) -> None:
        """Put what came from the queue `source` among the dead letters, to be sent again where it says.

        Raises Unavailable.
        """
        metrics.DEAD.inc()
        log.error("dead letter", extra={"reason": poison.reason, "queue": source})
        headers = dead_letter_headers(
            reason=poison.reason,
            source=source,
            replica=self._replica,
            publisher=poison.publisher,
            exchange=exchange,
            key=key,
        )
        await publish_dead_letter(self._confirmed, poison.body, headers)


def _answered(batch: Batch, plan: Plan) -> Answered:
    """Return whose the answers are, by place: ids are whatever their senders chose."""
    answers = iter(plan.answers)
    return [(part, list(islice(answers, len(part.commands)))) for part in batch.parts]


def _spans(answered: Answered) -> dict[LogPosition, Span]:
    """Return in whose name each event is published, of those that are traced."""
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


def _count(batch: Batch, plan: Plan) -> None:
    refused = sum(isinstance(answer, Refused) for answer in plan.answers)
    metrics.COMMANDS.labels("stored").inc(len(plan.new))
    metrics.COMMANDS.labels("refused").inc(refused)
    metrics.COMMANDS.labels("known").inc(len(plan.answers) - refused - len(plan.new))
    for part in batch.parts:
        for refusal in part.refused:
            metrics.BOTS_REFUSED.labels(part.publisher or "", refusal.code).inc()


def _trace(sends: Iterable[Run]) -> None:
    for run in sends:
        for event in run.events:
            log.debug("stored", extra={"correlation_id": event.id, "room": run.room, "seq": event.seq})
