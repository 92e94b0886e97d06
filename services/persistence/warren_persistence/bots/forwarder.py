"""Forwards the commands of bots to the writers, so that no bot stands in the queue that people wait in.

Bots have a small queue of their own. One replica at a time takes from it, drops what is beyond a bot's pace, and
publishes the rest to the shards, each message in its bot's name. A message is acknowledged when the shards have it, so
whoever dies before that leaves it to the next one: what comes twice then has the same keys.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract.codes import Code
from warren.contract.commands import Commands, Refused
from warren.contract.topology import BOT_COMMANDS, BOT_QUEUE, COMMANDS, shard_key
from warren.supervise import failed

from warren_persistence import metrics
from warren_persistence.bots.admission import AdmissionControl, Admitted, Sender, ShardBatch, shard_batches
from warren_persistence.commands.batch import PUBLISHER, Poison
from warren_persistence.commands.delivery_queue import Delivery, DeliveryQueue, acknowledge
from warren_persistence.domain.decide import refuse
from warren_persistence.publishing.outcomes import OutcomePublisher

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Messages of bots delivered and not yet acked; they are forwarded together."""
FORWARD_WITHIN = 2.0
"""Seconds for one try."""
PATIENCE = 3.0
"""Seconds for which a shard's queue that is full holds up all bots, once: from then on it has one try."""
_TRY_EVERY = 0.5
"""Seconds between two tries, at most."""


class Forwarder:
    """Takes deliveries, forwards them, and answers what was not forwarded."""

    def __init__(
        self,
        delivery_queue: DeliveryQueue,
        admission: AdmissionControl,
        publisher: Publisher,
        outcomes: OutcomePublisher,
    ) -> None:
        self._delivery_queue = delivery_queue
        self._admission = admission
        self._publisher = publisher
        self._outcomes = outcomes
        self._full: set[int] = set()
        """Shards that did not take what came last."""

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            deliveries = await self._take()
            messages = [self._admit(delivery) for delivery in deliveries]
            batches = shard_batches(messages)
            left = await asyncio.gather(*(self._forward(number, found) for number, found in batches.items()))
            if await self._publish_outcomes(
                deliveries, messages, [shard_batch for rest in left for shard_batch in rest]
            ):
                acknowledge(deliveries)

    async def _take(self) -> list[Delivery]:
        deliveries = [await self._delivery_queue.take()]
        while len(deliveries) < AT_ONCE and (delivery := self._delivery_queue.take_now()) is not None:
            deliveries.append(delivery)
        return deliveries

    def _admit(self, delivery: Delivery) -> Admitted:
        properties, body = delivery.message.header.properties, delivery.message.body
        try:
            admitted = self._admission.admit(body, properties.user_id, properties.reply_to, time.monotonic())
        except Exception as error:
            failed("commands", error, queue=BOT_QUEUE)
            user = properties.user_id
            admitted = Admitted(Sender(user or "", None), poison=[Poison(body, f"failed: {error!r}", user)])
        if admitted.dropped is not None:
            metrics.BOTS_REFUSED.labels(admitted.sender.user, admitted.dropped).inc()
        return admitted

    async def _forward(self, number: int, batches: Sequence[ShardBatch]) -> Sequence[ShardBatch]:
        """Publish to one shard, in order; return what its queue did not take, which is never anything but the end."""
        last = time.monotonic() + (0 if number in self._full else PATIENCE)
        waits = backoff(cap=_TRY_EVERY)
        forwarded = 0
        while forwarded < len(batches):
            try:
                await self._publish(number, batches[forwarded])
            except Unavailable as error:
                if time.monotonic() > last:
                    log.warning("commands of bots not taken", extra={"shard": number, "error": str(error)})
                    self._full.add(number)
                    break
                await pause(next(waits))
            else:
                self._full.discard(number)
                forwarded += 1
        return batches[forwarded:]

    async def _publish(self, number: int, shard_batch: ShardBatch) -> None:
        await self._publisher.publish(
            COMMANDS,
            shard_key(number),
            _body(shard_batch),
            mandatory=True,
            delivery_mode=PERSISTENT,
            reply_to=shard_batch.sender.reply_queue,
            headers={PUBLISHER: shard_batch.sender.user},
        )

    async def _publish_outcomes(
        self, deliveries: Sequence[Delivery], messages: Sequence[Admitted], left: Sequence[ShardBatch]
    ) -> bool:
        """Answer what was not forwarded, until the broker has that; return whether deliveries may be acknowledged."""
        answers = _answers(messages, left)
        poison = [one for message in messages for one in message.poison] + list(_unanswered(left))
        for sender, found in answers.items():  # first: whoever has an answer finds it counted
            for refused in found:
                metrics.BOTS_REFUSED.labels(sender.user, refused.code).inc()
        for wait in backoff():
            try:
                for sender, found in answers.items():
                    if sender.reply_queue:
                        await self._outcomes.reply(sender.reply_queue, found)
                for one in poison:
                    await self._outcomes.dead_letter(one, BOT_QUEUE, BOT_COMMANDS, "")
            except Unavailable as error:
                log.warning("outcomes of bots not published", extra={"error": str(error)})
                if not any(delivery.lease.live for delivery in deliveries):
                    return False
                await pause(wait)
            else:
                break
        return True


def _answers(messages: Iterable[Admitted], left: Iterable[ShardBatch]) -> dict[Sender, list[Refused]]:
    detail = "the room's queue is full; send it again with the same key"
    found: defaultdict[Sender, list[Refused]] = defaultdict(list)
    for message in messages:
        if message.refused:
            found[message.sender] += message.refused
    for shard_batch in left:
        found[shard_batch.sender] += (refuse(command, Code.UNAVAILABLE, detail) for command in shard_batch.commands)
    return found


def _unanswered(left: Iterable[ShardBatch]) -> Iterator[Poison]:
    """Return what is not to get lost, as nobody would hear that it is to be sent again."""
    reason = "the room's queue is full, and the sender wants no answer"
    return (
        Poison(_body(shard_batch), reason, shard_batch.sender.user)
        for shard_batch in left
        if shard_batch.sender.reply_queue is None
    )


def _body(shard_batch: ShardBatch) -> bytes:
    return Commands(commands=shard_batch.commands).model_dump_json(exclude_none=True).encode()
