"""A closed-loop load: so many messages in flight, each until its sender has the ack and every member has it.

The members of a room get the same bytes, so a frame is parsed once and counted for each connection. What each
connection is shown is checked all the same: every message reaches every member of its room exactly once and nobody
else, whatever the system; where the system numbers a room's messages, their numbers have no gap and no step back.
Without such numbers nothing is checked about order.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

CACHE = 2_000
"""Parsed frames kept; far more than are ever on their way."""
SETTLE = 30.0
"""Seconds for what is in flight at the end to complete."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Messages shown to a connection: their keys, and the seqs if the system has such."""

    room: str
    keys: tuple[str, ...]
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Acked:
    """The server has the message with this key for good."""

    key: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The connection is in its room."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that must not happen in a benchmark."""

    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Something that the server wants answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Proceed:
    """The server awaits the next turn of the hello."""


Heard = Delivered | Acked | Ready | Failed | Answer | Proceed | None


class Dialect(Protocol):
    """How a chat system is spoken to over WebSocket."""

    def hello(self, room: str, member: int) -> Sequence[Sequence[str]]:
        """Return what brings a connection of this member into this room: the frames of each turn.

        The first turn is said at once, each further one when the server lets the connection proceed.
        """

    def send(self, room: str, key: str, text: str) -> str:
        """Return the frame that says something."""

    def hear(self, payload: bytes) -> Heard:
        """Return what a frame means; None if nothing."""


@dataclass(slots=True)
class Result:
    """What a run measured. Latencies are in seconds."""

    messages: int
    seconds: float
    acks: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Messages a second that were acked and delivered to every member."""
        return self.messages / self.seconds

    def quantile(self, values: list[float], share: float) -> float:
        """Return the quantile of latencies, in milliseconds."""
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000 if ordered else float("nan")

    def ack(self, share: float) -> float:
        """Return the quantile of the time from send to ack, in milliseconds."""
        return self.quantile(self.acks, share)

    def __str__(self) -> str:
        p50, p99 = self.ack(0.5), self.ack(0.99)
        d50, d99 = self.quantile(self.deliveries, 0.5), self.quantile(self.deliveries, 0.99)
        return (
            f"{self.rate:8.0f} msg/s   ack p50 {p50:6.1f} ms  p99 {p99:6.1f} ms   "
            f"at all members p50 {d50:6.1f} ms  p99 {d99:6.1f} ms"
        )


@dataclass(slots=True)
class _Flight:
    room: str
    sent: float
    missing: int  # a bit for each member that has not got it
    acked: bool = False


class _Line(WSListener):
    """One connection."""

    def __init__(self, load: "Load", room: str, member: int) -> None:
        self._load = load
        self.room = room
        self.member = member
        self.bit = 1 << member
        self.cursor: int | None = None
        self.transport: WSTransport | None = None
        self._hello: Iterator[Sequence[str]] = iter(load.dialect.hello(room, member))

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.proceed()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._load.heard(self, frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._load.lost(self)

    def proceed(self) -> None:
        for frame in next(self._hello, ()):
            self.say(frame)

    def say(self, text: str) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, text.encode())


class Load:
    """Members in rooms, and messages in flight."""

    def __init__(
        self, dialect: Dialect, urls: Sequence[str], rooms: Sequence[str], members: int, text: int = 200
    ) -> None:
        self.dialect = dialect
        self._urls = urls
        self._text = text
        self._lines = {room: [_Line(self, room, number) for number in range(members)] for room in rooms}
        self._rooms = list(rooms)
        self._members = members
        self._everyone = (1 << members) - 1
        self._hear = lru_cache(CACHE)(dialect.hear)
        self._flights: dict[str, _Flight] = {}
        self._serial = 0
        self._ready = 0
        self._refill = False
        self._result = Result(0, 0.0)
        self._changed = asyncio.Event()
        self._closing = False
        self._wrong: str | None = None

    @property
    def sent(self) -> int:
        """How many messages were said so far; after a run each of them is acked and at all members."""
        return self._serial

    async def connect(self) -> None:
        """Connect everybody and wait until all are in their rooms; raise AssertionError if that fails."""
        lines = [line for found in self._lines.values() for line in found]
        for start in range(0, len(lines), 50):
            await asyncio.gather(*(self._connect(line) for line in lines[start : start + 50]))
        await self._until(lambda: self._ready >= len(lines), 60.0)
        if self._ready < len(lines):
            raise AssertionError(f"only {self._ready} of {len(lines)} connections got into their rooms")

    async def run(self, in_flight: int, warm_up: float, seconds: float) -> Result:
        """Keep `in_flight` messages on their way; count those that complete after `warm_up` seconds.

        Raises AssertionError if anything is lost, doubled, misplaced, refused or, where seqs tell, out of order.
        """
        self._refill = True
        for _ in range(in_flight):
            self._launch()
        await self._until(lambda: False, warm_up)
        self._result = Result(0, 0.0)
        started = time.perf_counter()
        await self._until(lambda: False, seconds)
        result, self._result = self._result, Result(0, 0.0)
        result.seconds = time.perf_counter() - started
        self._refill = False
        await self._settle()
        return result

    async def steady(self, rate: float, seconds: float) -> Result:
        """Say so many messages a second whatever comes back, and return what became of all of them. Raises as `run`."""
        self._result = result = Result(0, seconds)
        started = time.perf_counter()
        for number in range(max(1, int(rate * seconds))):
            await self._until(lambda: False, max(0.0, started + number / rate - time.perf_counter()))
            self._launch()
        await self._settle()
        return result

    def close(self) -> None:
        """Drop all connections."""
        self._closing = True
        for lines in self._lines.values():
            for line in lines:
                if line.transport is not None:
                    line.transport.disconnect(graceful=False)

    def heard(self, line: _Line, payload: bytes) -> None:
        """Take a frame that came to a connection."""
        try:
            self._take(line, payload)
        except AssertionError as error:
            self._fail(str(error))

    def lost(self, line: _Line) -> None:
        """Take note that a connection ended."""
        if not self._closing:
            self._fail(f"connection of member {line.member} in {line.room} was lost")

    def _take(self, line: _Line, payload: bytes) -> None:
        match heard := self._hear(payload):
            case Delivered():
                self._delivered(line, heard)
            case Acked(key):
                self._acked(key)
            case Ready():
                self._ready += 1
                self._changed.set()
            case Answer(text):
                line.say(text)
            case Proceed():
                line.proceed()
            case Failed(why):
                raise AssertionError(why)

    def _fail(self, why: str) -> None:
        """Keep the first thing that went wrong; whoever waits raises it, and so stops what was started."""
        self._wrong = self._wrong or why
        self._refill = False
        self._changed.set()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return when it is done or the seconds have passed; raise what went wrong meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (done() or self._wrong):
                    self._changed.clear()
                    await self._changed.wait()
        if self._wrong:
            raise AssertionError(self._wrong)

    async def _settle(self) -> None:
        """Wait until nothing is in flight."""
        await self._until(lambda: not self._flights, SETTLE)
        if self._flights:
            raise AssertionError(f"{len(self._flights)} messages were not acked or not at every member in {SETTLE} s")

    async def _connect(self, line: _Line) -> None:
        url = self._urls[line.member % len(self._urls)]
        await ws_connect(lambda: line, url)

    def _launch(self) -> None:
        self._serial += 1
        room = self._rooms[self._serial % len(self._rooms)]
        line = self._lines[room][self._serial // len(self._rooms) % self._members]
        key = f"b{self._serial}"
        self._flights[key] = _Flight(room, time.perf_counter(), self._everyone)
        line.say(self.dialect.send(room, key, f"{key} ".ljust(self._text, "x")))

    def _delivered(self, line: _Line, heard: Delivered) -> None:
        if heard.first is not None:
            if line.cursor is not None and heard.first != line.cursor + 1:
                raise AssertionError(f"member {line.member} of {line.room} got {heard.first} after {line.cursor}")
            line.cursor = heard.last
        for key in heard.keys:
            flight = self._flights.get(key)
            if flight is None or not flight.missing & line.bit:
                raise AssertionError(f"member {line.member} of {line.room} got {key} twice")
            if flight.room != line.room:
                raise AssertionError(f"member {line.member} of {line.room} got {key} of {flight.room}")
            flight.missing ^= line.bit
            if not flight.missing:
                self._result.deliveries.append(time.perf_counter() - flight.sent)
                self._complete(key, flight)

    def _acked(self, key: str) -> None:
        flight = self._flights.get(key)
        if flight is None or flight.acked:
            raise AssertionError(f"{key} was acked twice")
        flight.acked = True
        self._result.acks.append(time.perf_counter() - flight.sent)
        self._complete(key, flight)

    def _complete(self, key: str, flight: _Flight) -> None:
        if flight.missing or not flight.acked:
            return
        del self._flights[key]
        self._result.messages += 1
        if self._refill:
            self._launch()
        else:
            self._changed.set()
