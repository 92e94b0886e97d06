"""HTTP below ASGI: how large a request's head may be and how long it may take. ASGI hears of it only at its end.

And what answers that take long need: a way to be rid of a peer that does not read.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any, ClassVar, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_LIMIT = 16 * 1024
"""Bytes of request line and headers: twice the longest token."""
HEAD_WITHIN = 10.0
"""Seconds for a head to be complete, from its first byte or, for the first one, from the connection."""
HEADERS = 100
"""Headers that are kept; there is one more if there were more, for the application to refuse."""
BODY_WITHIN = 30.0
"""Seconds for a body to be complete, whether anybody waits for it or not."""
PIECES = 1_000
"""Pieces of a body: each is a copy of what came before it."""
SILENT = 5_000
"""Connections of which no head has come yet; the oldest goes. More than a kernel keeps for us to accept at once."""
SEND_BUFFER = 128 * 1024
"""Bytes in the kernel for each connection (Linux doubles it for its own book-keeping)."""
EXTENSION = "warren.listener"
"""Where the ASGI scope of a request carries its listener, under `extensions`."""
_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"x-content-type-options: nosniff\r\n\r\n"
)


class Deadline:
    """Ends something when its time is over, unless what has come by then calls that off.

    libuv looks at the clock and not, before that, for what has come: a process that stood still (stopped, without a
    processor, at work on something else) finds its deadlines over before it reads a byte of what came meanwhile. To
    close a connection then resets it, and a request that had come in good time is lost.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]) -> None:
        self._loop = loop
        self._end = end
        self._handle: asyncio.Handle = loop.call_later(seconds, self._over)

    def cancel(self) -> None:
        """Call it off."""
        self._handle.cancel()

    def _over(self) -> None:
        self._handle = self._loop.call_soon(self._read)  # which the loop does before it reads …

    def _read(self) -> None:
        self._handle = self._loop.call_soon(self._end)  # … and this when it has


TakeOver = Callable[[asyncio.Transport, set[Any], bytes], None]
"""Takes a connection over, given its transport, the set of protocols that are told when the server stops, and what has
come behind the request's head."""
Upgrades = Callable[[Scope], TakeOver | None]
"""Returns what takes a request's connection over, which is called in the same turn of the loop; None if it is a request
like any other. The scope has no path yet, but the request's target as `raw_path`."""


class Listener(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, with a bound on what comes before it is a request.

    `upgrades`: who takes connections over from it. ASGI hears nothing of those.
    """

    _silent: ClassVar[dict["Listener", None]] = {}
    """In the order they came."""
    _head = 0
    _in_head = True
    _in_body = False
    _headers = 0
    _pieces = 0
    _deadline: Deadline | None = None
    """Of the head, or of the body."""
    _serving: RequestResponseCycle | None = None
    _take_over: TakeOver | None = None
    """Set when the connection is about to be taken over."""
    _head_end: int | None = None
    """Where the request's head ended whose connection is to be taken over now, in the piece that was read last."""

    def __init__(self, *args: Any, upgrades: Upgrades, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._upgrades = upgrades

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head.

        What the kernel keeps for this peer is bound; left alone it takes megabytes before any buffer here grows.
        """
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._await_head()
        self._silent[self] = None
        if len(self._silent) > SILENT:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and let the request that is being answered know.

        Uvicorn tells the last one that came, which in a pipeline is another one. An answer to a peer that is gone would
        then be an error with a traceback in the log, for each connection that somebody drops on purpose.
        """
        self._is_done()
        self._silent.pop(self, None)
        if self._serving is not None:
            self._serving.disconnected = True
            self._serving.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head has grown too large."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._take_over is not None and self._head_end is not None:
            self._hand_over(self._take_over, data[self._head_end :])
            return
        if self._in_head and self._head > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()
        if self._in_body and self._deadline is None and not self.transport.is_closing():
            self._deadline = Deadline(self.loop, BODY_WITHIN, self._give_up)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item]
        self._in_head, self._head, self._headers, self._pieces = True, 0, 0, 0
        if self._deadline is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, unless there are too many to be looked through."""
        self._headers += 1
        if self._headers <= HEADERS + 1:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head."""
        self._in_head = False
        self._silent.pop(self, None)
        self._is_done()
        self._take_over = self._upgrades(cast(Scope, self.scope)) if self._is_upgrade() else None
        self._in_body = self._take_over is None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; who sends it byte by byte is cut."""
        self._pieces += 1
        if self._pieces <= PIECES:
            super().on_body(body)
        elif not self.transport.is_closing():
            self.transport.abort()

    def on_message_complete(self) -> None:
        """End the body."""
        self._in_body = False
        self._is_done()
        if self._pieces <= PIECES:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Take note of where the head ends: that is said by what uvicorn has caught from the parser."""
        caught = sys.exception()
        if isinstance(caught, httptools.HttpParserUpgrade):
            self._head_end = caught.args[0]

    def timeout_keep_alive_handler(self) -> None:
        """Close what was kept for as long as it may be, unless the next request has come."""
        self.timeout_keep_alive_task = Deadline(self.loop, 0, super().timeout_keep_alive_handler)  # type: ignore[assignment]

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

    def _is_upgrade(self) -> bool:
        """Whether another protocol is asked for, by a request without a body and when no answer is under way."""
        if not self.parser.should_upgrade() or (self.cycle is not None and not self.cycle.response_complete):
            return False
        self.scope["raw_path"] = self.url
        return self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1"

    def _hand_over(self, take_over: TakeOver, early: bytes) -> None:
        self.connections.discard(self)
        self.scope = self.parser = None  # type: ignore[assignment]  # they refer to this, which would stay
        take_over(self.transport, self.connections, early)

    def _should_upgrade(self) -> bool:
        return self._take_over is not None

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: it was answered like any other request."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._serving = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._deadline = Deadline(self.loop, HEAD_WITHIN, self.transport.abort)

    def _give_up(self) -> None:
        """Wait for the body no longer."""
        if self._serving is None or not self._serving.response_started:
            self.transport.write(_LATE)
        self.transport.close()

    def _is_done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
