"""The WebSocket below ASGI: bytes come in and messages go to a connection, without a queue, a task or a wait.

ASGI has a queue and a task for each connection; here a message is carried out as it is read. What goes out is in
`websocket_writer`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from warren.contract.codes import Close
from warren.rates import Bucket, Rate
from warren.supervise import contained

from warren_gateway import metrics
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.delivery.subscriber import CLOSE_GRACE
from warren_gateway.transports import websocket_frames as ws
from warren_gateway.transports.websocket_messages import MessageReader
from warren_gateway.transports.websocket_writer import SocketWriter

ON_THE_WAY = 64 * 1024
"""Bytes that a peer may have sent before it hears that it is the end …"""
FRAME_PRICE = 32
"""… and for how many of them each frame counts besides: there could be thousands of empty ones. A burst of small frames
that a client may still have sent has to fit, or it never hears why it ended."""
LINGER_BYTES = 4 * 1024 * 1024
"""What is read after that and means nothing: a peer that is still sending reads why it ended when it has sent."""


class Receiver(Protocol):
    """What takes the messages that come in."""

    def receive(self, data: str | None) -> "asyncio.Task[None] | None":
        """Take a message; None is a binary one. Never raises. Returns what the next one has to wait for, if any."""


class Socket(SocketWriter):
    """One WebSocket after its handshake. `limit`: bytes of a message that comes in.

    `open_sockets`: where it is found when the process stops, for as long as it is open.
    """

    __slots__ = (
        "_close_timer", "_ended", "_on_the_way", "_open_sockets", "_reader", "_reading_paused", "_receiver",
        "_waited_for", "frame_bucket",
    )  # fmt: skip

    name = "websocket"
    frames_rate = Rate(50, 500)
    """Frames of any kind; set once at start from the settings."""

    def __init__(self, transport: Any, coalescer: WriteCoalescer, limit: int, open_sockets: set[Any]) -> None:
        super().__init__(transport, coalescer)
        self.frame_bucket = Bucket.of(self.frames_rate, time.monotonic())
        """Shared with the protocol, which takes from it for each message."""
        self._open_sockets = open_sockets
        self._reader = MessageReader(limit)
        self._receiver: Receiver | None = None
        self._ended: Callable[[], None] | None = None
        self._waited_for: asyncio.Task[None] | None = None
        self._reading_paused = False
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
            self._linger(len(data))
            return
        self._reader.feed(data)
        if self._waited_for is None:
            self._read()
        elif not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """End: the transport closes itself, as soon as the peer has read what waits for it."""
        self._expect_the_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self.stop_writing()
        self._open_sockets.discard(self)
        self._reader.clear()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.resume_writing()  # no loop does for a transport that is lost
        self._over()

    # What comes in

    def _read(self) -> None:
        try:
            while self._waited_for is None and not self._is_deaf and (message := self._reader.next()) is not None:
                if self.closing:
                    self._look_for_close(*message)
                else:
                    self._handle(*message)
        except ws.FrameError as error:
            self._fail(error)

    def _handle(self, opcode: int, payload: bytes) -> None:
        match opcode:
            case ws.TEXT:
                self._receive(ws.text_of(payload))
            case ws.BINARY:
                self._receive(None)
            case ws.CLOSE:
                self._answer_close(payload)
            case _:
                if self._may_go_on() and opcode == ws.PING:
                    self.write(ws.frame(ws.PONG, payload))

    def _receive(self, text: str | None) -> None:
        """Hand a message on. What comes after a token is taken up when that is verified."""
        if self._receiver is not None and (task := self._receiver.receive(text)) is not None:
            self._waited_for = task
            task.add_done_callback(self._go_on)

    def _go_on(self, waited_for: "asyncio.Task[None]") -> None:
        """Take up what has come meanwhile."""
        self._waited_for = None
        if waited_for.cancelled():  # and nobody knows whose the rest is
            self.end(Close.FAILED, "something went wrong here")
        self._read()
        if self._waited_for is None:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def _may_go_on(self) -> bool:
        """Count a frame that no application sees, and end the connection if there are too many of them."""
        if self.frame_bucket.take(time.monotonic()):
            return True
        self.end(Close.FLOODING, "too many frames")
        return False

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

    def _look_for_close(self, opcode: int, payload: bytes) -> None:
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

    def _linger(self, size: int) -> None:
        """Pass over so many bytes: to close with anything unread resets the connection under the peer's last words."""
        self._on_the_way -= size
        if self._on_the_way < -LINGER_BYTES:
            self.transport.abort()

    def _fail(self, error: ws.FrameError) -> None:
        """End because the peer breaks the protocol: nothing that it says can be understood from here on."""
        if not self.gone:
            metrics.CLOSED.labels(error.code).inc()
            self._say_last(ws.close_frame(error.code, error.reason))
        self._ignore()

    def _answer_close(self, payload: bytes) -> None:
        """Close as the peer does, which says nothing more."""
        ws.check_close(payload)
        self._say_last(ws.frame(ws.CLOSE, payload))
        self.transport.close()

    def _say_last(self, frame: bytes) -> None:
        self.write_last(frame)
        self._expect_the_end()

    def _expect_the_end(self) -> None:
        """Wait for the peer no longer than this: it may leave its buffer full, or never answer."""
        self.stop_writing()
        if self._close_timer is None:
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
