"""A connection to the broker that comes back by itself."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import aio_pika
from aio_pika.abc import AbstractConnection

from warren.broker.backoff import backoff
from warren.broker.declare import check_declared
from warren.broker.errors import TopologyMissing, Unavailable, translated

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and AMQP handshakes."""
STABLE_AFTER = 5.0
"""Seconds after which a connection counts as having worked, so that the next wait starts short again."""

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
        self._serve = serve
        self.up = False
        """True while connected and `serve` has not failed."""

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        waits = backoff()
        while True:
            started = loop.time()
            await self._once()
            if loop.time() - started > STABLE_AFTER:
                waits = backoff()
            await asyncio.sleep(next(waits))

    async def _once(self) -> None:
        connection: AbstractConnection | None = None
        try:
            with translated():
                connection = await aio_pika.connect(
                    self._url, timeout=CONNECT_TIMEOUT, client_properties={"connection_name": self.name}
                )
                await check_declared(connection)
            log.info("broker connected", extra={"link": self.name})
            self.up = True
            await self._until_closed(connection)
        except* TopologyMissing as missing:
            hint = "the topology is missing; as operator: python -m warren.broker declare"
            log.warning(hint, extra={"link": self.name, "error": str(missing.exceptions[0])})
        except* Unavailable as lost:
            log.warning("broker lost", extra={"link": self.name, "error": str(lost.exceptions[0])})
        finally:
            self.up = False
            if connection is not None:
                with contextlib.suppress(Unavailable), translated():
                    await asyncio.wait_for(connection.close(), CONNECT_TIMEOUT)

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
