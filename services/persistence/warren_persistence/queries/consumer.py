"""Answers `warren.queries` and `warren.bots.queries`: reads scale by replicas, and each is judged by who asks."""

import asyncio
import contextlib
import logging
import time
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pydantic import BaseModel, ValidationError
from warren.broker.consumer import CONSUME_TIMEOUT, consume, is_open, open_channel, until_closed
from warren.broker.errors import Unavailable, translated
from warren.broker.identity import reply_queue
from warren.broker.publisher import Publisher
from warren.contract import queries as q
from warren.contract.bots import bot_user
from warren.contract.codes import Code
from warren.contract.topology import BOT_QUERY_QUEUE, QUERY_QUEUE
from warren.ops.mongo import StoreUnavailable
from warren.rates import Buckets, Rate
from warren.supervise import failed
from warren.untrusted import UnreadableError, first_error, read

from warren_persistence import metrics
from warren_persistence.queries.access import AccessResolver
from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.registry import HANDLERS
from warren_persistence.store import Store

log = logging.getLogger(__name__)

PREFETCH = 100
"""Queries in work at once …"""
BOTS_PREFETCH = 20
"""… and of bots, besides."""
CONSUME_WITHIN = 1.0
"""Seconds for a queue of queries to have a leader, at the first try; on a slow broker each takes twice as long, up to
CONSUME_TIMEOUT. Nobody is hurt if the one before was heard after all: the queue gives to all who consume."""
STOP_WITHIN = 5.0
"""Seconds to answer what is in hand when told to stop: nobody waits for longer."""
BODY_LIMIT = 64 * 1024
"""Bytes of a query: more than the heads of 500 rooms need."""
ALONE = Rate(100, 500)
"""Queries of a broker user that asks for itself alone. People's limits are the gateways'."""


class QueryConsumer:
    """Takes queries from the shared queues and answers each to its `reply_to`.

    `gateways`: broker users that ask on behalf of anybody; every other one asks for itself alone. `everything`: the
    names of bots that the operator lets read all rooms.
    """

    def __init__(
        self, store: Store, publisher: Publisher, epoch: str, gateways: frozenset[str],
        everything: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        watchers = tuple(sorted(map(bot_user, everything)))
        self._context = QueryContext(store, epoch, watchers, AccessResolver(store, frozenset(watchers)))
        self._publisher = publisher
        self._gateways = gateways
        self._rates = Buckets(ALONE)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._consume_within = CONSUME_WITHIN

    async def serve(self, connection: AbstractConnection) -> None:
        """Answer what people ask, on this connection until it goes away."""
        await self._consume(connection, QUERY_QUEUE, PREFETCH)

    async def serve_bots(self, connection: AbstractConnection) -> None:
        """Answer what bots ask, on this connection until it goes away."""
        await self._consume(connection, BOT_QUERY_QUEUE, BOTS_PREFETCH)

    async def _consume(self, connection: AbstractConnection, queue: str, prefetch: int) -> None:
        channel = await open_channel(connection, prefetch)
        underlay = await channel.get_underlay_channel()

        def sink(message: DeliveredMessage) -> None:
            task = asyncio.create_task(self._handle(underlay, message))
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)

        try:
            consumer = await consume(channel, queue, sink, within=self._consume_within)
        except TimeoutError:
            self._consume_within = min(2 * self._consume_within, CONSUME_TIMEOUT)
            raise
        self._consume_within = CONSUME_WITHIN
        try:
            await until_closed(channel)
        finally:
            if is_open(underlay):
                await self._stop(underlay, consumer)

    async def _stop(self, channel: AbstractChannel, consumer: str) -> None:
        """Take no more, and answer what is in hand first, or else whoever asked would wait in vain."""
        with contextlib.suppress(Unavailable), translated():
            await channel.basic_cancel(consumer, timeout=STOP_WITHIN)
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=STOP_WITHIN)

    async def _handle(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        properties = message.header.properties
        try:
            if self._is_too_much(properties.user_id):
                return
            answer = await self._answer(message.body, properties.user_id)
            if reply_to := reply_queue(properties.user_id, properties.reply_to):
                body = answer.model_dump_json().encode()
                await self._publisher.publish(
                    "", reply_to, body, correlation_id=properties.correlation_id, message_type="answer"
                )
        except Unavailable as error:
            log.warning("answer not sent", extra={"error": str(error)})
        except Exception as error:
            failed("query", error)
        finally:
            # Also when it failed: who asked has given up or asks again, so a query is worth one try.
            if message.delivery_tag is not None and is_open(channel):
                with contextlib.suppress(Unavailable), translated():
                    await channel.basic_ack(message.delivery_tag, wait=False)

    def _is_too_much(self, publisher: str | None) -> bool:
        """Whether a query is dropped unread: it takes less than to read it, and who sends so many waits for none."""
        user = publisher or ""
        if user in self._gateways or not self._rates.take(user, time.monotonic()):
            return False
        metrics.QUERIES_DROPPED.labels(user).inc()
        return True

    async def _answer(self, body: bytes, publisher: str | None) -> BaseModel:
        kind = "unknown"
        try:
            query = q.QUERY.validate_python(_read(body))
            kind = query.type
            if publisher in self._gateways or publisher == query.user is not None:
                answer = await HANDLERS[type(query)](self._context, query)
            else:
                answer = q.Denied(code=Code.FORBIDDEN, detail="the broker does not vouch for this asker")
        except UnreadableError as error:
            answer = q.Denied(code=Code.INVALID, detail=str(error))
        except ValidationError as error:
            answer = q.Denied(code=Code.INVALID, detail=first_error(error))
        except StoreUnavailable:
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the store does not answer at the moment")
        except Exception as error:
            failed("query", error, query=kind)
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the query failed")
        outcome = answer.code if isinstance(answer, q.Denied) else "ok"
        metrics.QUERIES.labels(kind, outcome).inc()
        return answer


def _read(body: bytes) -> Any:
    """Return what a query says. Raises UnreadableError."""
    if len(body) > BODY_LIMIT:
        raise UnreadableError(f"more than {BODY_LIMIT} bytes")
    return read(body)
