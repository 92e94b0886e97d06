"""An HTTP proxy that lets only some kinds of traffic through, as those of schools and hotels do."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from harness.listening import stop_listening

Kind = Literal["websocket", "sse", "polling", "request"]
"""What a connection is for; `request` is everything that is short."""
HEAD_LIMIT = 64 * 1024
PIECE = 64 * 1024
IDLE_WITHIN = 30.0
"""Seconds for the browser to close what is no longer wanted."""
REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpProxy:
    """Carries HTTP to `port` of this machine, a request a connection.

    `refused`: kinds that are answered with 502; `buffered`: kinds whose answers it gathers and never passes on.
    While it is stalled it takes everything and carries nothing, as a network does that is gone.
    """

    def __init__(self, port: int) -> None:
        self.refused: set[Kind] = set()
        self.buffered: set[Kind] = set()
        self.carried: Counter[Kind] = Counter()
        """How many connections of each kind it has carried."""
        self.url = ""
        self._port = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._closed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HttpProxy"]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            await stop_listening(server)
            self._flowing.set()
            self.cut()

    def refuse(self, *kinds: Kind) -> None:
        """Refuse exactly these from now on, and cut what is open."""
        self.refused = set(kinds)
        self.cut()

    def cut(self) -> None:
        """End all connections at once."""
        for writer in self._open:
            writer.transport.abort()

    async def idle(self) -> None:
        """Wait until nothing is open any more."""
        async with asyncio.timeout(IDLE_WITHIN):
            while self._open:
                self._closed.clear()
                await self._closed.wait()

    def stall(self) -> None:
        """Carry nothing any more, and say nothing of it."""
        self._flowing.clear()

    def flow(self) -> None:
        """Carry on."""
        self._flowing.set()

    def forget(self) -> None:
        """Carry what comes from now on; what is open stays stalled for ever."""
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), self._opened(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            kind = _kind_of(head)
            if kind in self.refused:
                writer.write(REFUSAL)
                await writer.drain()
            else:
                await self._carry(kind, head, reader, writer)

    async def _carry(self, kind: Kind, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.carried[kind] += 1
        flowing = self._flowing
        there, gateway = await asyncio.open_connection("127.0.0.1", self._port)
        with self._opened(gateway):
            gateway.write(head if kind == "websocket" else _last(head))
            ways = [
                asyncio.create_task(_pipe(reader, gateway, flowing)),
                asyncio.create_task(_pipe(there, None if kind in self.buffered else writer, flowing)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)  # whoever hangs up ends it for both
            finally:
                for way in ways:
                    way.cancel()

    @contextmanager
    def _opened(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._open.add(writer)
        try:
            yield
        finally:
            self._open.discard(writer)
            self._closed.set()
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, flowing: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            await flowing.wait()
            if writer is not None:
                writer.write(data)
                await writer.drain()


def _kind_of(head: bytes) -> Kind:
    line, *fields = head.lower().split(b"\r\n")
    if line.startswith(b"options "):
        return "request"
    if any(field.startswith(b"upgrade:") for field in fields):
        return "websocket"
    path = line.split(b" ")[1]
    return "sse" if path.startswith(b"/v1/sse") else "polling" if path.startswith(b"/v1/poll") else "request"


def _last(head: bytes) -> bytes:
    """Have the gateway close the connection after its answer: the next request may be of another kind."""
    line, *fields = head.split(b"\r\n")
    kept = [field for field in fields if not field.lower().startswith(b"connection:")]
    return b"\r\n".join([line, b"Connection: close", *kept])
