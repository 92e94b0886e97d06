"""A connection to the broker that comes back by itself."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AuthenticationError, ChannelAccessRefused, InvalidFrameError, ProbableAuthenticationError

from warren.broker.backoff import heed
from warren.broker.connect import close, connect, drop
from warren.broker.declare import check_declared
from warren.broker.errors import NoMajority, TopologyMissing, Unavailable, Useless, loss, translated
from warren.broker.majority import Door, until_minority
from warren.broker.nodes import Node, Nodes
from warren.broker.silence import until_silent
from warren.throttle import LogThrottle

log = logging.getLogger(__name__)

STABLE_AFTER = 5.0
"""Seconds after which a connection counts as having worked: a node whose connections end sooner has failed."""
REFUSALS: dict[type[BaseException], str] = {
    AuthenticationError: "the broker refused the login: its name or password is wrong",
    ProbableAuthenticationError: "the broker refused the login: its name or password is wrong",
    InvalidFrameError: "the broker refused the vhost: it is not there, or not for this user, or full",
    ChannelAccessRefused: "the broker refused what this service needs: is the login another service's?",
}
"""What is said of what the broker raises. (A refused vhost closes the connection, a mistake to aiormq.)"""
LOST = "broker lost"
MISSING = "the topology is missing; as operator: python -m warren.broker declare"
_throttle = LogThrottle()
"""One for all links of the process: the same befalls them all."""

Serve = Callable[[AbstractConnection], Awaitable[None]]
"""Works on a connection until it goes away; may raise Unavailable, anything else is a bug and ends the process."""


class SupervisedConnection:
    """Keeps one connection open and runs `serve` on it; again, on a new connection, whenever either ends.

    This stands in for `aio_pika.connect_robust`, which restores bindings one by one and reuses queue names: here
    `serve` builds what it needs from nothing, the same way the first time and after a loss. The topology is the
    operator's to declare; while it is missing, the link is down. A node that does not work, in whatever way, is left
    for the next one.
    """

    def __init__(self, nodes: Nodes, name: str, serve: Serve, door: Door | None = None) -> None:
        """`door`: how this one finds out, for all links of the process, whether the node has a majority.

        It publishes for that, so it is to be a link that does: what publishes may be throttled.
        """
        self.name = name
        self._nodes = nodes
        self._serve = serve
        self._door = door
        self._told = True
        """Whether the log has the last loss; if not, it does not need the connection that follows either."""
        self.up = False
        """True while connected and `serve` has not failed."""

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._once(await self._nodes.turn())

    async def _once(self, node: Node) -> None:
        """Serve on a connection to this node until it is gone."""
        started = time.monotonic()
        try:
            await self._connected(node)
        except TopologyMissing as missing:
            node.failed(started)
            self._tell(MISSING, missing, node, news=False)
        except Unavailable as lost:
            self._lost(node, lost, started)
        finally:
            self.up = False

    def _lost(self, node: Node, lost: Unavailable, started: float) -> None:
        """Take note of what the node was worth."""
        refused, now = refusal(lost), time.monotonic()
        worked = self.up and now - started > STABLE_AFTER
        if worked:
            node.worked()
        if not worked or isinstance(lost, Useless):
            node.failed(max(started, now - self._nodes.patience), refused=refused is not None)
        if isinstance(lost, NoMajority):
            self._nodes.leave(node)
        self._tell(LOST if refused is None else REFUSALS[type(refused)], refused or lost, node, news=worked)

    async def _connected(self, node: Node) -> None:
        patience = self._nodes.patience
        connection = await connect(node.url, self.name, patience)
        try:
            with translated():
                async with asyncio.timeout(patience):
                    await check_declared(connection)
            if self._told:
                log.info("broker connected", extra={"link": self.name, **node.where})
            self.up = True
            await self._until_lost(connection, node)
        finally:
            await close(connection, patience)

    def _tell(self, what: str, error: BaseException, node: Node, *, news: bool) -> None:
        """Say what has befallen the link; only once and then rarely, unless it is news."""
        passed = _throttle.due((what, *node.where.values()))
        self._told = news or passed is not None
        if self._told:
            log.warning(what, extra={"link": self.name, **node.where, "error": str(error), "passed_over": passed})

    async def _until_lost(self, connection: AbstractConnection, node: Node) -> None:
        heed()
        serving = asyncio.ensure_future(self._serve(connection))
        closed = asyncio.ensure_future(until_closed(connection))
        useless = asyncio.ensure_future(self._until_useless(connection, node))
        try:
            await asyncio.wait({serving, closed, useless}, return_when=asyncio.FIRST_COMPLETED)
            with translated():
                for ended in (useless, serving):
                    if ended.done():
                        ended.result()
            raise Unavailable("connection closed")
        finally:
            if useless.done() or _took_too_long(serving):
                drop(connection)  # first: whoever ends in order waits for the peer's answers
                await closed
            for task in (serving, closed, useless):
                task.cancel()
            await asyncio.gather(serving, closed, useless, return_exceptions=True)

    async def _until_useless(self, connection: AbstractConnection, node: Node) -> None:
        patience = self._nodes.patience
        async with asyncio.TaskGroup() as group:
            group.create_task(until_silent(connection, patience))
            group.create_task(_until_left(node))
            if self._door is not None and len(self._nodes.all) > 1:
                group.create_task(
                    until_minority(connection, self._door, self.name, self._nodes.patience_with_elections)
                )


def _took_too_long(serving: asyncio.Future[None]) -> bool:
    """Whether it has ended because the node did not do in time what was asked of it."""
    if not serving.done() or serving.cancelled():
        return False
    error = serving.exception()
    return error is not None and isinstance(loss(error), Useless)


async def _until_left(node: Node) -> None:
    await node.left.wait()
    raise Useless("another connection has found out that it is of no use")


def refusal(lost: BaseException) -> BaseException | None:
    """Return how the broker has refused something, one of REFUSALS, or None if it was lost in another way.

    A channel that it closes for that ends all that is done on it, each in its own way, so it is looked for in groups.
    """
    if type(lost) in REFUSALS:
        return lost
    inner = lost.exceptions if isinstance(lost, BaseExceptionGroup) else ()
    found = (refusal(error) for error in (*inner, lost.__cause__) if error is not None)
    return next((error for error in found if error is not None), None)


async def until_closed(connection: AbstractConnection) -> None:
    """Return when the connection is lost or closed.

    `connection.closed()` will not do: aio-pika 10 resolves it when we close the connection, not when the peer does.
    """
    gone = asyncio.Event()

    def on_close(*_: object) -> None:
        gone.set()

    connection.close_callbacks.add(on_close)
    if connection.transport is None or connection.transport.connection.is_closed:
        return
    await gone.wait()
