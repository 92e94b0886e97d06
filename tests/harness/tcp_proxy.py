"""A TCP proxy that stalls without a word, as a network does that is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.concurrency import run_concurrently
from harness.listening import stop_listening

PIECE = 64 * 1024


class TcpProxy:
    """Carries bytes to a port of this machine; while it is stalled it takes connections and carries nothing."""

    def __init__(self, target: int) -> None:
        self.port = 0
        """Where it begins."""
        self._target = target
        self._hang_ups = range(0)
        self._accepted = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._over = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TcpProxy"]:
        """Listen; in the end all is cut."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await stop_listening(server)
            self._over = True
            for task, writer in tuple(self._serving.items()):
                task.cancel()
                writer.transport.abort()  # a task that is cancelled before it has begun closes nothing
            await asyncio.gather(*self._serving, return_exceptions=True)

    def stall(self) -> None:
        """Carry nothing any more."""
        self._flowing.clear()

    def flow(self) -> None:
        """Carry on."""
        self._flowing.set()

    def hang_up_on(self, numbers: range) -> None:
        """Close these connections as soon as they are there; the first that ever comes is 0."""
        self._hang_ups = numbers

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._accepted = self._accepted, self._accepted + 1
        if self._over:  # it came at the last moment
            writer.transport.abort()
            return
        if number in self._hang_ups:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving[task] = writer
        task.add_done_callback(self._serving.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await self._flowing.wait()
            there, server = await asyncio.open_connection("127.0.0.1", self._target)
            with contextlib.closing(server):
                await run_concurrently(self._pipe(reader, server), self._pipe(there, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
