"""Server-Sent Events as a transport: frames come in, and go out as events within a bound. No I/O.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from warren.contract.codes import Close
from warren.contract.frames import Bye, Joined, Left, ServerFrame

from warren_gateway import metrics
from warren_gateway.delivery.batch import EventBatch, Frame
from warren_gateway.transports.cursors import Cursors

COMMENT = b":\n\n"
RETRY_FROM, RETRY_TO = 1_000, 4_000
"""Milliseconds after which a client comes back that follows the format alone: not all of them at once."""


class Pipe(Protocol):
    """A response's body, as it goes to the peer. Its buffer is the outbox, as with a WebSocket."""

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""

    def write(self, data: bytes) -> None:
        """Write without waiting."""

    async def drained(self) -> bool:
        """Wait until the buffer is below its low-water mark; False if the peer is gone."""


def encode(frame: Frame) -> bytes:
    """Return a frame as an event, up to its id."""
    return _event(frame.kind, frame.body)


def _event(kind: str, body: bytes) -> bytes:
    return b"event: %s\ndata: %s\n" % (kind.encode(), body)


class SseTransport:
    """One client's events. `bound`: bytes that may wait for it; who lets more pile up is cut.

    Each event that moves the client carries the cursor of all rooms behind it.
    """

    name = "sse"

    def __init__(self, pipe: Pipe, cursors: Cursors, bound: int, ended: Callable[[], object]) -> None:
        self._pipe = pipe
        self._cursors = cursors
        self._bound = bound
        self._ended = ended
        self._said_bye = False
        self.over = asyncio.Event()
        """Set when nothing more is written."""

    def begin(self) -> None:
        """Say when to come back, if the connection should just break."""
        self._pipe.write(b"retry: %d\n\n" % random.randint(RETRY_FROM, RETRY_TO))

    def keep_alive(self) -> None:
        """Say something that means nothing."""
        self._write(COMMENT)

    def send_frame(self, frame: ServerFrame) -> None:
        """Write a frame of this client alone."""
        event = _event(frame.type, frame.model_dump_json(exclude_none=True).encode())
        match frame:
            case Joined():
                self._cursors.joined(frame)
                event += self._id
            case Left():
                self._cursors.left(frame.room)
                event += self._id
            case Bye():
                self._said_bye = True
        self._write(event + b"\n")

    def broadcast(self, frame: Frame) -> None:
        """Write a frame that goes to many."""
        event = frame.encoded(encode)
        if isinstance(frame, EventBatch):
            self._cursors.moved(frame.room, frame.last)
            event += self._id
        self._write(event + b"\n")

    async def drained(self) -> bool:
        """Wait until what was written is on its way; False if nothing more can be."""
        return await self._pipe.drained() and not self.over.is_set()

    def end(self, code: Close, reason: str) -> None:
        """End with a `bye` that says why. (`reason` is for people, who do not read streams.)"""
        if self.over.is_set():
            return
        metrics.CLOSED.labels(code).inc()
        if not self._said_bye:
            self.send_frame(Bye(code=code, after_ms=0))
        self.gone()

    def gone(self) -> None:
        """Write nothing more."""
        if not self.over.is_set():
            self.over.set()
            self._ended()

    @property
    def _id(self) -> bytes:
        return b"id: %s\n" % str(self._cursors).encode()

    def _write(self, event: bytes) -> None:
        if self.over.is_set():
            return
        if self._pipe.waiting + len(event) > self._bound and not self._said_bye:
            metrics.SLOW.inc()
            self.end(Close.SLOW_CONSUMER, "too slow in reading")
            return
        metrics.FRAMES_OUT.inc()
        self._pipe.write(event)
