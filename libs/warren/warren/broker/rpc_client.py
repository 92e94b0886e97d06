"""Asks whichever service answers a type of query, over the broker; the answers come to the process's reply queue."""

import asyncio
import logging
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from warren.broker.errors import Unavailable, Unroutable
from warren.broker.publisher import Publisher
from warren.contract.codes import Code
from warren.contract.ids import new_id
from warren.contract.queries import ANSWER, QUERY_TYPES, Denied
from warren.contract.topology import QUERIES, QUERY_KEY
from warren.throttle import LogThrottle
from warren.untrusted import first_error

log = logging.getLogger(__name__)
_throttle = LogThrottle()

A = TypeVar("A", bound=BaseModel)

TIMEOUT = 5.0
"""Seconds for a query. The message expires in the queue at the same time, so nobody works for an asker that left."""
AGAIN_AFTER = 1.5
"""Seconds without an answer after which a query is sent once more, and the first expires: a node may have died with it,
or with its answer."""
PENDING_LIMIT = 10_000
"""Queries under way at once."""
_OLD_KEY = {"BCC": [QUERY_KEY]}
"""The broker gives a queue one copy, whichever keys it is bound with, and takes this off before it does."""


class QueryDenied(Exception):
    """The answer is no, for good: `code` and `detail` say why."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.detail)
        self.code = denied.code
        self.detail = denied.detail


class TypedQuery(Protocol):
    """A query of any service's: a model whose `type` says who answers it."""

    @property
    def type(self) -> str:
        """What it is routed by."""

    def model_dump_json(self) -> str:
        """Return what is sent."""


class RpcClient:
    """Request and reply. `exchange`: where queries go; bots have one of their own."""

    def __init__(self, publisher: Publisher, exchange: str = QUERIES, confirmed: Publisher | None = None) -> None:
        """`confirmed`: by which queries go of services that may not be set up; without it nobody hears that one is not.

        Persistence always is: its queries cost no confirm.
        """
        self._publisher = publisher
        self._confirmed = confirmed
        self._exchange = exchange
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._reply_to: str | None = None
        self._opened = asyncio.Event()

    @property
    def reply_to(self) -> str | None:
        """The reply queue that answers come to; None while there is none."""
        return self._reply_to

    @reply_to.setter
    def reply_to(self, name: str | None) -> None:
        self._reply_to = name
        if name is None:
            self._opened.clear()
        else:
            self._opened.set()

    async def ask(self, query: TypedQuery, kind: type[A]) -> A:
        """Return the answer, of the type that this query has. Raises QueryDenied, Unroutable or Unavailable."""
        if self.reply_to is None or len(self._pending) >= PENDING_LIMIT:
            raise Unavailable("no reply queue, or too many queries")
        correlation = new_id()
        future = self._pending[correlation] = asyncio.get_running_loop().create_future()
        try:
            body = await self._ask(query.type, query.model_dump_json().encode(), correlation, future)
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error
        finally:
            del self._pending[correlation]
        answer = _read(body, kind)
        if isinstance(answer, Denied):
            raise refusal(answer)
        return answer

    async def _ask(self, kind: str, body: bytes, correlation: str, future: asyncio.Future[bytes]) -> bytes:
        """Ask, and once more if no answer comes. Raises TimeoutError, Unroutable or Unavailable."""
        try:
            async with asyncio.timeout(AGAIN_AFTER):
                await self._publish(kind, body, correlation, AGAIN_AFTER)
                return await asyncio.shield(future)
        except Unroutable:
            raise
        except (TimeoutError, Unavailable):
            log.debug("asked again", extra={"query": kind})
        async with asyncio.timeout(TIMEOUT - AGAIN_AFTER):
            await self._opened.wait()
            await self._publish(kind, body, correlation, TIMEOUT - AGAIN_AFTER)
            return await future

    async def _publish(self, kind: str, body: bytes, correlation: str, within: float) -> None:
        """Publish by the type, and by the old key as well if persistence's queue may not be bound with the type yet."""
        properties: dict[str, Any] = {
            "correlation_id": correlation,
            "reply_to": self.reply_to,
            "expiration": str(int(within * 1_000)),
            "headers": dict(_OLD_KEY) if kind in QUERY_TYPES else {},
        }
        if kind in QUERY_TYPES or self._confirmed is None:
            await self._publisher.publish(self._exchange, kind, body, **properties)
            return
        try:
            await self._confirmed.publish(self._exchange, kind, body, mandatory=True, **properties)
        except Unroutable as error:
            _throttle.warn(log, kind, "nobody answers queries of this type", query=kind, exchange=self._exchange)
            raise Unroutable(f"no queue takes what is asked as {kind}: is its service set up?") from error

    def answered(self, correlation: str | None, body: bytes) -> None:
        """Take an answer from the reply queue; one that nobody waits for any more is dropped."""
        future = self._pending.get(correlation or "")
        if future is not None and not future.done():
            future.set_result(body)


def refusal(denied: Denied) -> QueryDenied | Unavailable:
    """Return what is raised where this is the answer."""
    return Unavailable(denied.detail) if denied.code == Code.UNAVAILABLE else QueryDenied(denied)


def _read(body: bytes, kind: type[A]) -> A | Denied:
    """Return the answer. What makes no sense is none: of a newer replica, perhaps, and another may know better."""
    try:
        answer = ANSWER.validate_json(body)
    except ValidationError as error:
        log.error("answer not understood", extra={"error": first_error(error)})  # noqa: TRY400
        raise Unavailable("an answer that is not understood") from error
    if isinstance(answer, kind | Denied):
        return answer
    raise Unavailable(f"{kind.__name__} expected, not {answer.type}")
