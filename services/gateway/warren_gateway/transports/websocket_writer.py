"""The writing half of a WebSocket: frames come and bytes go out. No write waits.

ASGI's `send` waits for a slow peer, so a loop over many sockets would wait for the slowest. The transport's own buffer
is the outbox instead: a frame is encoded once and handed to each socket, and whoever lets more than a bound pile up
is cut.
"""

import asyncio
from abc import abstractmethod
from typing import Any

from warren.contract.codes import Close
from warren.contract.frames import ServerFrame
from warren.supervise import failed

from warren_gateway import metrics
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.transports import websocket_frames as ws

GATHER_BYTES = 64 * 1024
"""What is gathered before it is written; more in one turn is written in pieces."""


def encode(frame: Frame) -> bytes:
    """Return a frame as it goes over the wire; the same bytes serve every connection (no compression)."""
    return ws.frame(ws.TEXT, frame.body)


class SocketWriter(asyncio.Protocol):
    """Gathers what a socket gets in one turn of the event loop, and writes it within a bound on what waits."""

    __slots__ = ("_coalescer", "_gathered", "_gathered_bytes", "_writable", "closing", "transport")

    outbox_bytes = 2 * 1024 * 1024
    """What may wait in the buffer; set once at start from the settings."""

    def __init__(self, transport: Any, coalescer: WriteCoalescer) -> None:
        self.transport = transport
        self.closing = False
        """Whether nothing is written any more: the last frame was, or there is nobody to write to."""
        self._coalescer = coalescer
        self._gathered: list[bytes] | None = None
        self._gathered_bytes = 0
        self._writable: asyncio.Event | None = None
        """Set when the peer has read enough; only there while it has not."""

    @abstractmethod
    def end(self, code: int, reason: str) -> None:
        """Close with this code, without waiting."""

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.closing or self.transport.is_closing()

    def send_frame(self, frame: ServerFrame) -> None:
        """Send a frame of this connection alone."""
        self.write(ws.frame(ws.TEXT, frame.model_dump_json(exclude_none=True).encode()))

    def broadcast(self, frame: Frame) -> None:
        """Send a frame that goes to many."""
        self.write(frame.encoded(encode))

    def write(self, frame: bytes) -> None:
        """Gather an encoded frame for the end of the turn, or cut the connection if the peer does not read.

        An ack and its event are one system call then, which costs more than all else that is done to send them.
        """
        if self.closing:
            return
        if self._writable is not None and self._is_too_much(frame):
            metrics.SLOW.inc()
            self.end(Close.SLOW_CONSUMER, "too slow in reading")
        elif self._gathered is None:
            self._gathered, self._gathered_bytes = [frame], len(frame)
            self._coalescer.add(self)
        else:
            self._gathered.append(frame)
            self._gathered_bytes += len(frame)
            self._coalescer.further += 1
            if self._gathered_bytes > GATHER_BYTES:
                self.flush()

    def _is_too_much(self, frame: bytes) -> bool:
        """Whether more than the bound would wait. Nobody need ask before the transport says that writing must pause."""
        waiting: int = self.transport.get_write_buffer_size() + self._gathered_bytes
        return waiting + len(frame) > self.outbox_bytes

    def flush(self) -> None:
        """Write what was gathered. Never raises: whoever calls has others to see to."""
        gathered, self._gathered, self._gathered_bytes = self._gathered, None, 0
        if gathered is None:
            return
        try:
            self.transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))
        except Exception as error:
            failed("connection", error)
            self.transport.abort()  # nobody knows what the peer has

    def write_last(self, frame: bytes) -> None:
        """Write this behind what was gathered, in one write; `stop_writing` is to follow."""
        self.transport.write(b"".join((*(self._gathered or ()), frame)))

    def stop_writing(self) -> None:
        """Write nothing more, and let go of what was gathered."""
        self.closing = True
        self._gathered, self._gathered_bytes = None, 0

    async def drained(self) -> bool:
        """Wait until the buffer is below its low-water mark; False if the connection is gone."""
        self.flush()
        if self._writable is not None:
            await self._writable.wait()
        return not self.gone

    def pause_writing(self) -> None:
        """Take note that the peer does not read as fast as it is written to."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Take note that it has read."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None
