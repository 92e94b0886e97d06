"""The WebSocket below ASGI: bytes and frames come in, frames and bytes go out, and no write waits for the peer.

ASGI's `send` waits for a slow peer, so a loop over many sockets would wait for the slowest. The transport's own buffer
is the outbox instead: a frame is encoded once and handed to each socket, and whoever lets more than a bound pile up
is cut.
"""

import time
from typing import Any

import websockets.frames
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from warren.contract.codes import Close
from warren.contract.frames import ServerFrame
from warren.rates import Bucket, Rate
from websockets.frames import Opcode
from websockets.protocol import State

from warren_gateway import metrics
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.subscriber import CLOSE_GRACE

EXTENSION = "warren.socket"
"""Where the ASGI scope carries the socket, under `extensions`."""
SLICE = 4_096
"""Bytes parsed at a time."""
QUEUED_FRAMES = 1_000
"""Frames that wait for the application; twice what the default burst lets through."""
NOT_UTF8 = 1007
"""The close code, as RFC 6455 has it."""
FRAGMENTS = 1_000
"""Fragments of one message."""
ON_THE_WAY = 64 * 1024
"""Bytes that a peer may have sent before it hears that it is the end …"""
FRAME_PRICE = 32
"""… and for how many of them each frame counts besides: there could be thousands of empty ones. A burst of small frames
that a client may still have sent has to fit, or it never hears why it ended."""


def encode(frame: Frame) -> bytes:
    """Return a frame as it goes over the wire; the same bytes serve every connection (no compression)."""
    return _text(frame.body)


def _text(payload: bytes) -> bytes:
    return websockets.frames.Frame(Opcode.TEXT, payload).serialize(mask=False)


class Socket(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol, with an outgoing side of our own."""

    name = "websocket"

    outbox_bytes = 2 * 1024 * 1024
    """What may wait in the buffer; set once at start from the settings."""
    frames_rate = Rate(50, 500)
    """Frames of any kind; likewise."""
    _on_the_way = ON_THE_WAY

    def connection_made(self, transport: Any) -> None:
        """Begin to count, from the first byte on."""
        super().connection_made(transport)
        self.frame_bucket = Bucket.of(self.frames_rate, time.monotonic())
        """Shared with the protocol, which takes from it for each message."""

    def handle_connect(self, event: Any) -> None:
        """Make the socket known to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parse no more at once than a client may send.

        The application runs between reads, not between frames, so its own limit would come after a whole read has
        been parsed and queued.
        """
        for start in range(0, len(data), SLICE):
            if self.close_sent:
                self._await_close(data[start:])
                return
            super().data_received(data[start : start + SLICE])
            if self.queue.qsize() > QUEUED_FRAMES:
                self.end(Close.FLOODING, "too many frames")

    def _await_close(self, data: bytes) -> None:
        """Look for the answer to our close, behind what the peer had sent before; in a flood nobody looks."""
        if self._on_the_way < 0:
            return
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            self._on_the_way -= len(piece)
            if self._on_the_way < 0:
                self.transport.write_eof()
                return
            self.conn.receive_data(piece)
            for event in self.conn.events_received():
                self._on_the_way -= FRAME_PRICE
                if isinstance(event, websockets.frames.Frame) and event.opcode is Opcode.CLOSE:
                    self.handle_close(event)
                    return

    def _is_one_too_many(self) -> bool:
        """Count a frame that no application sees, and end the connection if there are too many of them."""
        if not self.gone and not self.frame_bucket.take(time.monotonic()):
            self.conn.data_to_send()  # the answers that it has not got yet
            self.end(Close.FLOODING, "too many frames")
        return self.gone

    def handle_ping(self) -> None:
        """Answer a ping, unless they come too fast or the answers pile up because nobody reads them."""
        if self._is_one_too_many():
            return
        if self.transport.get_write_buffer_size() > self.outbox_bytes:
            self.conn.data_to_send()
            metrics.SLOW.inc()
            self.end(Close.SLOW_CONSUMER, "too slow in reading")
        else:
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        """Pass over what nobody asked for, as long as there is little of it."""
        if not self._is_one_too_many():
            super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        """Gather the pieces of a message; their number is bounded, since the limit on size does not see empty ones."""
        if self._is_one_too_many():
            return
        if len(self.frames) >= FRAGMENTS:
            self.end(Close.BAD_FRAME, "too many fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message on; of one that is not UTF-8, uvicorn would write a traceback into the log for each."""
        if self.curr_msg_data_type == "text":
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                self.end(NOT_UTF8, "not UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_close(self, event: Any) -> None:
        """Let the peer go; one that leaves its buffer full is not waited for without end."""
        super().handle_close(event)
        if not self.disconnected:
            self.close_timer = self.loop.call_later(CLOSE_GRACE, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Send what the application says; a handshake that it has answered with a refusal is complete."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # else uvicorn logs an error for each, as if there had been no answer

    def shutdown(self) -> None:
        """End what is open as the process does; uvicorn waits for the answer, within its bound."""
        if self.handshake_complete:
            self.end(Close.GOING_AWAY, "going away")
        else:
            super().shutdown()

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def send_frame(self, frame: ServerFrame) -> None:
        """Send a frame of this connection alone."""
        self._write(_text(frame.model_dump_json(exclude_none=True).encode()))

    def broadcast(self, frame: Frame) -> None:
        """Send a frame that goes to many."""
        self._write(frame.encoded(encode))

    def _write(self, frame: bytes) -> None:
        """Send an encoded frame, or cut the connection if the peer does not read."""
        if self.gone:
            return
        if self.transport.get_write_buffer_size() + len(frame) > self.outbox_bytes:
            metrics.SLOW.inc()
            self.end(Close.SLOW_CONSUMER, "too slow in reading")
            return
        metrics.FRAMES_OUT.inc()
        self.transport.write(frame)

    async def drained(self) -> bool:
        """Wait until the buffer is below its low-water mark; False if the connection is gone."""
        await self.writable.wait()
        return not self.gone

    def end(self, code: int, reason: str) -> None:
        """Close with this code, without waiting; abort if the peer does not answer.

        Until it does, the connection stays. A proxy lets go of both sides when one ends, and a client that was just
        sending something would be told of a broken connection instead of the code.
        """
        if self.gone:
            return
        if not self.handshake_complete:
            self.transport.abort()  # there is no frame to say it in
            return
        metrics.CLOSED.labels(code).inc()
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.conn.state is State.OPEN:  # else its close was in the same read, and is answered already
            self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_GRACE, self.transport.abort)
