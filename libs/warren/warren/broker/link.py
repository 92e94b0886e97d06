"""A connection to the broker that comes back by itself."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AuthenticationError, ChannelAccessRefused, InvalidFrameError, ProbableAuthenticationError

from warren.broker.backoff import backoff, pause
from warren.broker.declare import check_declared
from warren.broker.errors import TopologyMissing, Unavailable, translated
from warren.contract.users import login_of
from warren.throttle import LogThrottle

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and AMQP handshakes."""
STABLE_AFTER = 5.0
"""Seconds after which a connection counts as having worked, so that the next wait starts short again."""
REFUSED_EVERY = 5.0
"""Seconds, about, between tries of what the broker refuses: that takes somebody to change it."""
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


class Link:
    """Keeps one connection open and runs `serve` on it; again, on a new connection, whenever either ends.

    This stands in for `aio_pika.connect_robust`, which restores bindings one by one and reuses queue names: here
    `serve` builds what it needs from nothing, the same way the first time and after a loss. The topology is the
    operator's to declare; while it is missing, the link is down.
    """

    def __init__(self, url: str, name: str, serve: Serve) -> None:
        self.name = name
        self._url = url
        self._where = where(url)
        self._serve = serve
        self._told = True
        """Whether the log has the last loss; if not, it does not need the connection that follows either."""
        self.up = False
        """True while connected and `serve` has not failed."""

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        waits = backoff()
        while True:
            started = loop.time()
            refused = await self._once()
            if loop.time() - started > STABLE_AFTER:
                waits = backoff()
            await pause(random.uniform(0.5, 1.5) * REFUSED_EVERY if refused else next(waits))

    async def _once(self) -> bool:
        """Serve until the connection is gone; return whether the broker has refused something."""
        loop = asyncio.get_running_loop()
        started, refused = loop.time(), False
        connection: AbstractConnection | None = None
        try:
            with translated():
                connection = await aio_pika.connect(
                    self._url, timeout=CONNECT_TIMEOUT, client_properties={"connection_name": self.name}
                )
                await check_declared(connection)
            if self._told:
                log.info("broker connected", extra={"link": self.name})
            self.up = True
            await self._until_closed(connection)
        except* TopologyMissing as missing:
            self._tell(MISSING, missing.exceptions[0], news=False)
        except* Unavailable as lost:
            what = refusal(lost)
            refused = what is not None
            worked = self.up and loop.time() - started > STABLE_AFTER
            self._tell(what or LOST, lost.exceptions[0], news=worked)
        finally:
            self.up = False
            if connection is not None:
                with contextlib.suppress(Unavailable), translated():
                    await asyncio.wait_for(connection.close(), CONNECT_TIMEOUT)
        return refused

    def _tell(self, what: str, error: BaseException, *, news: bool) -> None:
        """Say what has befallen the link; only once and then rarely, unless it is news."""
        passed = _throttle.due((what, *self._where.values()))
        self._told = news or passed is not None
        if self._told:
            log.warning(what, extra={"link": self.name, **self._where, "error": str(error), "passed_over": passed})

    async def _until_closed(self, connection: AbstractConnection) -> None:
        serving = asyncio.ensure_future(self._serve(connection))
        closed = asyncio.ensure_future(until_closed(connection))
        try:
            await asyncio.wait({serving, closed}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                with translated():
                    serving.result()
            raise Unavailable("connection closed")
        finally:
            closed.cancel()
            serving.cancel()
            await asyncio.gather(serving, closed, return_exceptions=True)


def refusal(lost: BaseException) -> str | None:
    """Return what the broker has refused, or None if it was lost in another way."""
    inner = lost.exceptions if isinstance(lost, BaseExceptionGroup) else (lost.__cause__,)
    said = (REFUSALS.get(type(lost)), *(refusal(error) for error in inner if error is not None))
    return next(filter(None, said), None)


def where(url: str) -> dict[str, str]:
    """Return who connects to what by an AMQP URL, for the log: without the password."""
    parts = urlsplit(url)
    vhost = unquote(parts.path[1:]) or "/"
    return {"user": login_of(url), "host": f"{parts.hostname}:{parts.port or 5672}", "vhost": vhost}


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
