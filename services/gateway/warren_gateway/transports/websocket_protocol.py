"""The WebSocket below ASGI: bytes come in and frames go to a connection, frames come and bytes go out; no write waits.

ASGI's `send` waits for a slow peer, so a loop over many sockets would wait for the slowest. The transport's own buffer
is the outbox instead: a frame is encoded once and handed to each socket, and whoever lets more than a bound pile up
is cut. Nor does a frame come in by ASGI, which has a queue and a task for each connection: it is carried out as it is
read.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from warren.contract.codes import Close
from warren.contract.frames import ServerFrame
from warren.rates import Bucket, Rate
from warren.supervise import contained

from warren_gateway import metrics
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.delivery.subscriber import CLOSE_GRACE
from warren_gateway.transports import websocket_frames as ws

FRAGMENTS = 1_000
"""Fragments of one message."""
ON_THE_WAY = 64 * 1024
"""Bytes that a peer may have sent before it hears that it is the end …"""
FRAME_PRICE = 32
"""… and for how many of them each frame counts besides: there could be thousands of empty ones. A burst of small frames
that a client may still have sent has to fit, or it never hears why it ended."""
GATHER_BYTES = 64 * 1024
"""What is gathered before it is written; more in one turn is written in pieces."""


def encode(frame: Frame) -> bytes:
    """Return a frame as it goes over the wire; the same bytes serve every connection (no compression)."""
    return ws.frame(ws.TEXT, frame.body)


class Receiver(Protocol):
    """What takes the frames that come in."""

    def receive(self, data: str | None) -> "asyncio.Task[None] | None":
        """Take a frame; None is a binary one. Never raises. Returns what the next frame has to wait for, if any."""


class Socket(asyncio.Protocol):
    """One WebSocket after its handshake. `limit`: bytes of a message that comes in.

    `open_sockets`: where it is found when the process stops, for as long as it is open.
    """

    __slots__ = (
        "_close_timer", "_closing", "_coalescer", "_ended", "_fragments", "_gathered", "_gathered_bytes", "_is_text",
        "_on_the_way", "_open_sockets", "_reader", "_reading_paused", "_receiver", "_waited_for", "_writable",
        "frame_bucket", "transport",
    )  # fmt: skip

    name = "websocket"
    outbox_bytes = 2 * 1024 * 1024
    """What may wait in the buffer; set once at start from the settings."""
    frames_rate = Rate(50, 500)
    """Frames of any kind; likewise."""

    def __init__(self, transport: Any, coalescer: WriteCoalescer, limit: int, open_sockets: set[Any]) -> None:
        self.transport = transport
        self.frame_bucket = Bucket.of(self.frames_rate, time.monotonic())
        """Shared with the protocol, which takes from it for each message."""
        self._coalescer = coalescer
        self._open_sockets = open_sockets
        self._reader = ws.FrameReader(limit)
        self._receiver: Receiver | None = None
        self._ended: Callable[[], None] | None = None
        self._fragments: list[bytes] | None = None
        self._is_text = False
        self._waited_for: asyncio.Task[None] | None = None
        self._reading_paused = False
        self._gathered: list[bytes] | None = None
        self._gathered_bytes = 0
        self._writable: asyncio.Event | None = None
        """Set when the peer has read enough; only there while it has not."""
        self._closing = False
        self._on_the_way = ON_THE_WAY
        self._close_timer: asyncio.TimerHandle | None = None
        open_sockets.add(self)

    def serve(self, receiver: Receiver, ended: Callable[[], None], early: bytes = b"") -> None:
        """Hand what comes in to `receiver`, `early` first; call `ended` when nothing more comes, in a later turn."""
        self._receiver, self._ended = receiver, ended
        self._reader.feed(early)
        self._read()

    # What the event loop calls

    def data_received(self, data: bytes) -> None:
        """Take what has come; while something is waited for it is kept, and no more is read."""
        if self._is_deaf:
            return
        self._reader.feed(data)
        if self._waited_for is None:
            self._read()
        elif not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._closing = True
        self._gathered = None
        self._open_sockets.discard(self)
        self._reader.clear()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.resume_writing()  # no loop does for a transport that is lost
        self._over()

    def pause_writing(self) -> None:
        """Take note that the peer does not read as fast as it is written to."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Take note that it has read."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # What comes in

    def _read(self) -> None:
        try:
            while self._waited_for is None and not self._is_deaf and (frame := self._reader.next()) is not None:
                if self._closing:
                    self._look_for_close(*frame)
                else:
                    self._handle(*frame)
        except ws.FrameError as error:
            self._fail(error)

    def _handle(self, opcode: int, fin: bool, payload: bytes) -> None:
        match opcode:
            case ws.TEXT | ws.BINARY:
                self._is_text = opcode == ws.TEXT
                if fin:
                    self._receive(payload)
                else:
                    self._fragments = [payload]
            case ws.CONTINUATION:
                self._continue(fin, payload)
            case ws.PING if not self._is_one_too_many():
                self._write(ws.frame(ws.PONG, payload))
            case ws.PONG:
                self._is_one_too_many()
            case ws.CLOSE:
                ws.check_close(payload)
                self._close(ws.frame(ws.CLOSE, payload))

    def _receive(self, payload: bytes) -> None:
        """Hand a message on. What comes after a token is taken up when that is verified."""
        try:
            text = payload.decode() if self._is_text else None
        except UnicodeDecodeError:
            self.end(ws.NOT_UTF8, "not UTF-8")
            return
        if self._receiver is not None and (task := self._receiver.receive(text)) is not None:
            self._waited_for = task
            task.add_done_callback(self._go_on)

    def _go_on(self, _: "asyncio.Task[None]") -> None:
        """Take up what has come meanwhile."""
        self._waited_for = None
        self._read()
        if self._waited_for is None:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def _continue(self, fin: bool, payload: bytes) -> None:
        """Gather the pieces of a message; their number is bounded, since the limit on size does not see empty ones."""
        if self._is_one_too_many() or self._fragments is None:
            return
        self._fragments.append(payload)
        if fin:
            whole, self._fragments = b"".join(self._fragments), None
            self._receive(whole)
        elif len(self._fragments) > FRAGMENTS:
            self.end(Close.BAD_FRAME, "too many fragments")

    def _is_one_too_many(self) -> bool:
        """Count a frame that no application sees, and end the connection if there are too many of them."""
        if self.frame_bucket.take(time.monotonic()):
            return False
        self.end(Close.FLOODING, "too many frames")
        return True

    def _look_for_close(self, opcode: int, _: bool, payload: bytes) -> None:
        """Look for the answer to our close, behind what the peer had sent before; in a flood nobody looks."""
        self._on_the_way -= FRAME_PRICE + len(payload)
        if opcode == ws.CLOSE:
            self.transport.close()
        elif self._on_the_way < 0:
            self._ignore()

    @property
    def _is_deaf(self) -> bool:
        """Whether nothing that comes means anything any more."""
        return self._on_the_way < 0 or self.transport.is_closing()

    def _ignore(self) -> None:
        """Read nothing more of what the peer says, and let it know that nothing more comes."""
        self._on_the_way = -1
        self._reader.clear()
        if not self.transport.is_closing():
            self.transport.write_eof()

    # What goes out

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closing or self.transport.is_closing()

    def send_frame(self, frame: ServerFrame) -> None:
        """Send a frame of this connection alone."""
        self._write(ws.frame(ws.TEXT, frame.model_dump_json(exclude_none=True).encode()))

    def broadcast(self, frame: Frame) -> None:
        """Send a frame that goes to many."""
        self._write(frame.encoded(encode))

    def _write(self, frame: bytes) -> None:
        """Gather an encoded frame for the end of the turn, or cut the connection if the peer does not read.

        An ack and its event are one system call then, which costs more than all else that is done to send them.
        """
        if self._closing or self.transport.is_closing():
            return
        gathered = self._gathered_bytes + len(frame)
        if self.transport.get_write_buffer_size() + gathered > self.outbox_bytes:
            metrics.SLOW.inc()
            self.end(Close.SLOW_CONSUMER, "too slow in reading")
            return
        self._gathered_bytes = gathered
        self._coalescer.frames += 1
        if self._gathered is None:
            self._gathered = [frame]
            self._coalescer.add(self)
        else:
            self._gathered.append(frame)
        if gathered > GATHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._gathered is None:
            return
        gathered, self._gathered, self._gathered_bytes = self._gathered, None, 0
        if not self.transport.is_closing():
            self.transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    async def drained(self) -> bool:
        """Wait until the buffer is below its low-water mark; False if the connection is gone."""
        self.flush()
        if self._writable is not None:
            await self._writable.wait()
        return not self.gone

    # How it ends

    def end(self, code: int, reason: str) -> None:
        """Close with this code, without waiting; abort if the peer does not answer.

        Until it does, the connection stays. A proxy lets go of both sides when one ends, and a client that was just
        sending something would be told of a broken connection instead of the code.
        """
        if self.gone:
            return
        metrics.CLOSED.labels(code).inc()
        self._say_last(ws.close_frame(code, reason))
        self._resume_reading()

    def shutdown(self) -> None:
        """End as the process does; uvicorn, which calls this, waits for the answer, within its bound."""
        self.end(Close.GOING_AWAY, "going away")

    def _fail(self, error: ws.FrameError) -> None:
        """End because the peer breaks the protocol: nothing that it says can be understood from here on."""
        self._reader.clear()
        if self._closing:
            self._ignore()
        else:
            metrics.CLOSED.labels(error.code).inc()
            self._close(ws.close_frame(error.code, error.reason))

    def _close(self, frame: bytes) -> None:
        """Say the last frame, and close without an answer: there is none to come."""
        if not self.gone:
            self._say_last(frame)
            self.transport.close()

    def _say_last(self, frame: bytes) -> None:
        """Write a close frame behind what was gathered, in one write; nothing follows it."""
        self.transport.write(b"".join((*(self._gathered or ()), frame)))
        self._gathered, self._gathered_bytes = None, 0
        self._fragments = None
        self._closing = True
        # One that leaves its buffer full is not waited for without end.
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_GRACE, self.transport.abort)
        self._over()

    def _over(self) -> None:
        """Have whoever serves it let go: not at once, since it may be at work with it just now."""
        if self._ended is not None:
            asyncio.get_running_loop().call_soon(self._let_go, self._ended)
            self._ended = None

    def _let_go(self, ended: Callable[[], None]) -> None:
        with contained("connection"):
            ended()
        self._receiver = None
