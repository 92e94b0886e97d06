"""HTTP below ASGI: how large a request's head may be and how long it may take. ASGI hears of it only at its end.

And what answers that take long need: a way to be rid of a peer that does not read.
"""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_LIMIT = 16 * 1024
"""Bytes of request line and headers: twice the longest token."""
HEAD_WITHIN = 10.0
"""Seconds for a head to be complete, from its first byte or, for the first one, from the connection."""
SEND_BUFFER = 128 * 1024
"""Bytes in the kernel for each connection (Linux doubles it for its own book-keeping)."""
EXTENSION = "warren.listener"
"""Where the ASGI scope of a request carries its listener, under `extensions`."""
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"x-content-type-options: nosniff\r\n\r\n"
)


class Listener(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, with a bound on what comes before it is a request."""

    _head = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None
    _serving: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head.

        What the kernel keeps for this peer is bound; left alone it takes megabytes before any buffer here grows.
        """
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and let the request that is being answered know.

        Uvicorn tells the last one that came, which in a pipeline is another one. An answer to a peer that is gone would
        then be an error with a traceback in the log, for each connection that somebody drops on purpose.
        """
        self._head_is_done()
        if self._serving is not None:
            self._serving.disconnected = True
            self._serving.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too large."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]
        self._in_head, self._head = True, 0
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """End the head."""
        self._in_head = False
        self._head_is_done()
        super().on_headers_complete()

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write a piece of a chunked body without waiting, which ASGI's `send` would do for a slow peer."""
        if not self.transport.is_closing():
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def drained(self) -> bool:
        """Wait until the buffer is below its low-water mark; False if the connection is gone."""
        await self.flow.drain()
        return not self.transport.is_closing()

    def abort(self) -> None:
        """Close the connection, whether the peer has read what was written or not."""
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._serving = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_WITHIN, self.transport.abort)

    def _head_is_done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
