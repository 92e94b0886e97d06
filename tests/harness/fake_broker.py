"""A fake broker: it gives the first so many answers that RabbitMQ would, and then fails in a chosen way."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pamqp.frame
from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable

from harness.listening import stop_listening

Fault = Literal["refuses", "closes", "resets", "is silent", "says garbage", "says what is no answer", "speaks HTTP"]
HONEST = 10_000
"""Answers, which is for ever."""
SAID: dict[Fault, bytes] = {
    "says garbage": b"\x01\x00\x01\x00\x00\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\xce" * 3,
    "says what is no answer": pamqp.frame.marshal(spec.Basic.Deliver("none", 1, False, "x", "y"), 1) * 2,
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}
HEADER = 7
"""Bytes before a frame's payload, of which there is one after it, too."""


class FakeBroker:
    """Takes connections on a port of its own; on each it gives `answers` answers, and then `fault` befalls it."""

    def __init__(self, fault: Fault = "closes", answers: int = HONEST) -> None:
        self.fault = fault
        self.answers = answers
        self.confirms = True
        """Whether it confirms what is published: a node that has lost the majority answers, and does not."""
        self.deaf: set[type[Frame]] = set()
        """What it passes over without a word."""
        self.heard: Counter[type] = Counter()
        """What it was asked, of each kind how often."""
        self.port = 0
        self.came = 0
        """Connections so far."""
        self._new = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = False

    @property
    def url(self) -> str:
        """Where it is, with the login of a service."""
        return f"amqp://gateway:hush@127.0.0.1:{self.port}/?heartbeat=10"

    async def visited(self, times: int, asked: int = 0, kind: type[Frame] = spec.Basic.Qos) -> None:
        """Wait until so many connections have come in all, and something, a sign of life, was asked for so often."""
        while self.came < times or self.heard[kind] < asked:
            self._new.clear()
            await self._new.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeBroker"]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        if self.fault == "refuses":
            server.close()
        try:
            yield self
        finally:
            await stop_listening(server)
            self._over = True
            for writer in tuple(self._writers):
                writer.transport.abort()
            while self._writers:  # noqa: ASYNC110  until what serves them has noticed
                await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._over:  # they came at the last moment
            writer.transport.abort()
            return
        self.came += 1
        self._new.set()
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError):
                await self._answer(reader, writer)
                await self._go_wrong(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.answers
        if not left:
            return
        await reader.readexactly(8)  # the protocol's header
        writer.write(pamqp.frame.marshal(spec.Connection.Start(server_properties=PROPERTIES), 0))
        published: Counter[int] = Counter()
        while left := left - 1:
            answer: Frame | None = None
            while answer is None:
                channel, frame = await _frame(reader)
                self._note(frame)
                published[channel] += isinstance(frame, spec.Basic.Publish)
                if isinstance(frame, ContentBody) and self.confirms:
                    answer = spec.Basic.Ack(published[channel])
                elif type(frame) not in self.deaf:
                    answer = _answer_to(frame)
            writer.write(pamqp.frame.marshal(answer, channel))

    def _note(self, frame: object) -> None:
        self.heard[type(frame)] += 1
        self._new.set()

    async def _go_wrong(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "resets":
            writer.transport.abort()
        elif self.fault == "is silent":
            while await reader.read(65_536):
                pass
        elif self.fault in SAID:
            writer.write(SAID[self.fault])
            while await reader.read(65_536):
                pass


PROPERTIES: FieldTable = {"version": "4.3.6", "capabilities": {"publisher_confirms": True, "basic.nack": True}}


async def _frame(reader: asyncio.StreamReader) -> tuple[int, object]:
    head = await reader.readexactly(HEADER)
    size = int.from_bytes(head[3:], "big")
    _, channel, frame = pamqp.frame.unmarshal(head + await reader.readexactly(size + 1))
    return channel, frame


def _answer_to(frame: object) -> Frame | None:
    """Return what RabbitMQ says to a method, or None if that is nothing."""
    match frame:
        case spec.Connection.StartOk():
            return spec.Connection.Tune(2_047, 131_072, 10)
        case spec.Queue.Declare(queue=queue):
            return spec.Queue.DeclareOk(queue or "amq.gen-x", 0, 0)
        case spec.Basic.Consume(consumer_tag=tag):
            return spec.Basic.ConsumeOk(tag)
        case Frame(synchronous=True, valid_responses=[name, *_]):
            kind, _, method = name.partition(".")
            return getattr(getattr(spec, kind), method)()  # type: ignore[no-any-return]
    return None
