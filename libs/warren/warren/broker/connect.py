"""Connecting to one node of the broker, and letting go of it at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aio_pika import Connection
from aio_pika.abc import AbstractConnection, ConnectionParameter
from aio_pika.connection import make_url
from aiormq.connection import Connection as UnderlayConnection
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from warren.broker.errors import Unavailable, translated
from warren.broker.nodes import Nodes
from warren.contract.nodes import host_of

CONNECT_TIMEOUT = 10.0
"""Seconds for the TCP and AMQP handshakes."""
UnderlayConnection.HEARTBEAT_GRACE_MULTIPLIER = 1
"""So many times what a URL says as `heartbeat` may a peer say nothing, which has something to say twice in that time;
aiormq would wait three times as long. It looks now and then: with 10 s, after 11 to 16 s."""


class _Sockets(TransportFactory):
    """Opens a connection's socket as aiormq would, and remembers it."""

    def __init__(self, url: str) -> None:
        self._factory = TLSTransportFactory() if URL(url).scheme == "amqps" else TCPTransportFactory()
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open it."""
        reader, self._writer = await self._factory.create(url, **kwargs)
        return reader, self._writer

    def abort(self) -> None:
        """Close it, whether the peer hears of that or not."""
        if self._writer is not None:
            self._writer.transport.abort()


class _Connection(Connection):
    """One that can be dropped: aio-pika itself says goodbye to a dead peer, and waits for its answer."""

    PARAMETERS = (
        *Connection.PARAMETERS, ConnectionParameter("transport_factory", parser=lambda given: given, is_kwarg=True),
    )  # fmt: skip

    def __init__(self, url: str, name: str, patience: float) -> None:
        self.patience = patience
        self._sockets = _Sockets(url)
        super().__init__(
            make_url(url), client_properties={"connection_name": name}, transport_factory=self._sockets
        )  # fmt: skip

    def __del__(self) -> None:
        """Do nothing: who has one lets go of it. aio-pika would begin to close it, where no loop may be running."""

    def drop(self) -> None:
        self._sockets.abort()


async def connect(url: str, name: str, within: float = CONNECT_TIMEOUT) -> AbstractConnection:
    """Return a connection to a node, which the broker shows by this name. Raises Unavailable.

    `within`: seconds that the node has for that, and for each thing that is asked of it later on.
    """
    connection = _Connection(url, name, within)
    connecting = asyncio.ensure_future(connection.connect())
    try:
        await asyncio.wait({connecting}, timeout=within)
        with translated():
            if not connecting.done():
                raise TimeoutError("no answer in time")  # noqa: TRY301
            connecting.result()
    except BaseException:
        connection.drop()  # first: aiormq waits until what it has written is read
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        raise
    return connection


def patience(connection: AbstractConnection) -> float:
    """Return how many seconds the node has for what it is asked on this connection."""
    return connection.patience if isinstance(connection, _Connection) else CONNECT_TIMEOUT


def drop(connection: AbstractConnection) -> None:
    """End a connection at once: all that waits on it ends as with any other loss."""
    cast(_Connection, connection).drop()


async def close(connection: AbstractConnection, within: float = CONNECT_TIMEOUT) -> None:
    """Close a connection in order, within so many seconds."""
    with contextlib.suppress(Unavailable), translated():
        async with asyncio.timeout(within):
            await connection.close()
    drop(connection)


@asynccontextmanager
async def connected(amqp_url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """Connect to the first node that is there, once, and close that afterwards. Raises Unavailable."""
    nodes = Nodes(amqp_url).all
    reasons = []
    for node in nodes:
        try:
            connection = await connect(node.url, name)
        except Unavailable as error:
            reasons.append(f"{host_of(node.url)}: {error}" if len(nodes) > 1 else str(error))
            continue
        try:
            yield connection
        finally:
            await close(connection)
        return
    raise Unavailable("; ".join(reasons))
