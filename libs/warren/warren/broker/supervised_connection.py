"""A connection to the broker that comes back by itself."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AuthenticationError, ChannelAccessRefused, InvalidFrameError, ProbableAuthenticationError

from warren.broker.backoff import raise_if_cancelled
from warren.broker.connect import close, connect, drop
from warren.broker.declare import check_declared
from warren.broker.errors import NoMajority, TopologyMissing, Unavailable, Unresponsive, loss, translated
from warren.broker.liveness import watch_liveness
from warren.broker.majority import ProbeRoute, watch_majority
from warren.broker.nodes import Node, Nodes
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
"""One for all connections of the process: the same befalls them all."""

Serve = Callable[[AbstractConnection], Awaitable[None]]
"""Works on a connection until it goes away; may raise Unavailable, anything else is a bug and ends the process."""


class SupervisedConnection:
    """Keeps one connection open and runs `serve` on it; again, on a new connection, whenever either ends.

    This stands in for `aio_pika.connect_robust`, which restores bindings one by one and reuses queue names: here
    `serve` builds what it needs from nothing, the same way the first time and after a loss. The topology is the
    operator's to declare; while it is missing, the connection is down. A node that does not work, in whatever way, is
    left for the next one.
    """

    def __init__(self, nodes: Nodes, name: str, serve: Serve, probe_route: ProbeRoute | None = None) -> None:
        """`probe_route`: how this one finds out, for all connections of the process, whether the node has a majority.

        It publishes for that, so it is to be a connection that does: what publishes may be throttled.
        """
        self.name = name
        self._nodes = nodes
        self._serve = serve
        self._probe_route = probe_route
        self._loss_logged = True
        """Whether the log has the last loss; if not, it does not need the connection that follows either."""
        self.up = False
        """True while connected and `serve` has not failed."""

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._serve_node(await self._nodes.next_node())

    async def _serve_node(self, node: Node) -> None:
        """Serve on a connection to this node until it is gone."""
        started = time.monotonic()
        try:
            await self._connected(node)
        except TopologyMissing as missing:
            node.failed(started)
            self._log_loss(MISSING, missing, node, news=False)
        except Unavailable as lost:
            self._lost(node, lost, started)
        finally:
            self.up = False

    def _lost(self, node: Node, lost: Unavailable, started: float) -> None:
        """Record whether the node has worked, and log the loss."""
        refused, now = refusal(lost), time.monotonic()
        worked = self.up and now - started > STABLE_AFTER
        if worked:
            node.worked()
        if not worked or isinstance(lost, Unresponsive):
            node.failed(max(started, now - self._nodes.patience), refused=refused is not None)
        if isinstance(lost, NoMajority):
            self._nodes.abandon(node)
        self._log_loss(LOST if refused is None else REFUSALS[type(refused)], refused or lost, node, news=worked)

    async def _connected(self, node: Node) -> None:
        patience = self._nodes.patience
        connection = await connect(node.url, self.name, patience)
        try:
            with translated():
                async with asyncio.timeout(patience):
                    await check_declared(connection)
            if self._loss_logged:
                log.info("broker connected", extra={"connection": self.name, **node.where})
            self.up = True
            await self._serve_until_lost(connection, node)
        finally:
            await close(connection, patience)

    def _log_loss(self, what: str, error: BaseException, node: Node, *, news: bool) -> None:
        """Log what has happened to the connection: once and then rarely, unless it is news."""
        passed = _throttle.due((what, *node.where.values()))
        self._loss_logged = news or passed is not None
        if self._loss_logged:
            log.warning(what, extra={"connection": self.name, **node.where, "error": str(error), "passed_over": passed})

    async def _serve_until_lost(self, connection: AbstractConnection, node: Node) -> None:
        raise_if_cancelled()
        serving = asyncio.ensure_future(self._serve(connection))
        closed = asyncio.ensure_future(until_closed(connection))
        unresponsive = asyncio.ensure_future(self._watch_node(connection, node))
        try:
            await asyncio.wait({serving, closed, unresponsive}, return_when=asyncio.FIRST_COMPLETED)
            with translated():
                for ended in (unresponsive, serving):
                    if ended.done():
                        ended.result()
            raise Unavailable("connection closed")
        finally:
            if unresponsive.done() or _timed_out(serving):
                drop(connection)  # first: whoever ends in order waits for the peer's answers
                await closed
            for task in (serving, closed, unresponsive):
                task.cancel()
            await asyncio.gather(serving, closed, unresponsive, return_exceptions=True)

    async def _watch_node(self, connection: AbstractConnection, node: Node) -> None:
        patience = self._nodes.patience
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_liveness(connection, patience))
            group.create_task(_watch_abandoned(node))
            if self._probe_route is not None and len(self._nodes.all) > 1:
                group.create_task(
                    watch_majority(connection, self._probe_route, self.name, self._nodes.patience_with_elections)
                )


def _timed_out(serving: asyncio.Future[None]) -> bool:
    """Whether it has ended because the node did not do in time what was asked of it."""
    if not serving.done() or serving.cancelled():
        return False
    error = serving.exception()
    return error is not None and isinstance(loss(error), Unresponsive)


async def _watch_abandoned(node: Node) -> None:
    await node.abandoned.wait()
    raise Unresponsive("another connection has found out that it is of no use")


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
