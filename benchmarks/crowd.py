"""People who each follow several rooms over one connection, and who come back when they lose it.

What each is shown is checked: a room's seqs follow one another without gap or repetition, also from one connection to
the next, and what was said has come to everybody. A frame is parsed once for all who get the same bytes.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from zlib import crc32

from harness.tokens import token
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from pydantic_core import from_json

PARSED = 2_000
"""Parsed frames kept."""
JOINING = 400
"""Joins under way at once while everybody comes: a query that waits for 5 s is refused."""
WITHIN = 60.0
"""Seconds for all to be there, and for what was said last to be everywhere."""
TOGETHER = 100
"""Messages under way at once while every room hears one."""
PING_EVERY = 25.0
"""Seconds, as `welcome` asks of clients."""
JITTER = 1.0
"""Seconds within which everybody tries again who has lost their connection."""
TEXT = 200
"""Characters of a message."""


@dataclass(slots=True)
class _Flight:
    sent: float
    missing: int
    acked: bool = False


@dataclass(slots=True)
class Said:
    """What became of messages: seconds to the ack, and to everybody, of each."""

    acks: list[float] = field(default_factory=list)
    everywhere: list[float] = field(default_factory=list)

    def ack(self, share: float) -> float:
        """Return the quantile of the acks, in milliseconds."""
        return quantile(self.acks, share) * 1_000


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which this share lies; not a number if there is none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")


class Crowd:
    """Some people, and what they say."""

    def __init__(self) -> None:
        self.people: list[Person] = []
        self.readers: dict[str, list[Person]] = {}
        self.live = 0
        """Subscriptions that are in force and lack nothing."""
        self.failed = 0
        """Tries to connect again that failed."""
        self.refused = 0
        """Joins that were refused for now."""
        self.elsewhere: dict[str, str] = {}
        """Where who loses a connection comes back; who was connected to something else must not lose it."""
        self.said = Said()
        self.parse: Callable[[bytes], dict[str, Any]] = lru_cache(PARSED)(from_json)
        """Return a frame, parsed once for all who get it."""
        self._flights: dict[str, _Flight] = {}
        self._serial = itertools.count()
        self._changed = asyncio.Event()
        self._wrong: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def add(self, url: str, rooms: Mapping[str, Sequence[str]]) -> None:
        """Have these people come, each with their rooms, and wait until they are in them.

        Raises AssertionError, as every call here, if anything goes wrong that must not.
        """
        before = sum(len(person.cursors) for person in self.people)
        people = [Person(self, user, url, names) for user, names in rooms.items()]
        self.people += people
        for person in people:
            for room in person.cursors:
                self.readers.setdefault(room, []).append(person)
        slots = asyncio.Semaphore(max(1, JOINING // max(len(names) for names in rooms.values()) // 2))
        wanted = before + sum(map(len, rooms.values()))

        async def come(person: Person) -> None:
            async with slots:
                await person.connect()
                await person.there.wait()

        async with asyncio.timeout(WITHIN * 2):
            await asyncio.gather(*map(come, people))
        await self.until_live(wanted)

    async def until_live(self, wanted: int | None = None) -> None:
        """Wait until so many subscriptions are live, or all."""
        total = sum(len(person.cursors) for person in self.people) if wanted is None else wanted
        await self.until(lambda: self.live >= total)

    async def say_everywhere(self, speakers: Mapping[str, "Person"] | None = None) -> None:
        """Have each room hear one message, of one of its own people or of these, and wait for the acks."""
        rooms = list(self.readers)
        for start in range(0, len(rooms), TOGETHER):
            keys = [self._say(room, (speakers or {}).get(room)) for room in rooms[start : start + TOGETHER]]
            await self.until(partial(self._are_acked, keys))

    async def steady(self, rate: float, seconds: float) -> Said:
        """Say so many messages a second, a room after the other; return what became of them when all are everywhere."""
        rooms = itertools.cycle(self.readers)
        self.said = said = Said()
        started = time.perf_counter()
        for number in range(max(1, int(rate * seconds))):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            self._say(next(rooms))
        await self.settle()
        return said

    async def settle(self) -> None:
        """Wait until all that was said is acked and everywhere."""
        await self.until(lambda: not self._flights)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(WITHIN):
            while not done() and not self._wrong:
                self._changed.clear()
                await self._changed.wait()
        if self._wrong:
            raise AssertionError(self._wrong)

    async def keep_alive(self) -> None:
        """Ping for everybody, evenly spread over time, until cancelled."""
        while True:
            for person in list(self.people):
                person.send('{"type":"ping"}')
                await asyncio.sleep(PING_EVERY / len(self.people))
            await asyncio.sleep(0.1)

    def close(self) -> None:
        """Drop all connections."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for person in self.people:
            person.close()

    def heard(self, keys: Iterable[str]) -> None:
        """Take note that somebody was shown these messages."""
        for key in keys:
            if (flight := self._flights.get(key)) is not None:
                flight.missing -= 1
                self._complete(key, flight)

    def acked(self, key: str) -> None:
        """Take note that a message is stored."""
        flight = self._flights[key]
        flight.acked = True
        self.said.acks.append(time.perf_counter() - flight.sent)
        self._complete(key, flight)

    def moved(self, live: int) -> None:
        """Take note that so many more subscriptions are live."""
        self.live += live
        self._changed.set()

    def fail(self, why: str) -> None:
        """Keep the first thing that went wrong; whoever waits raises it."""
        self._wrong = self._wrong or why
        self._changed.set()

    def lost(self, person: "Person") -> None:
        """Have somebody come back who has lost the connection."""
        if self._closing:
            return
        if person.url not in self.elsewhere:
            self.fail(f"{person.user} has lost the connection")
            return
        task = asyncio.get_running_loop().create_task(self._return(person, self.elsewhere[person.url]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _return(self, person: "Person", url: str) -> None:
        person.url = url
        while True:
            await asyncio.sleep(random.uniform(0.0, JITTER))
            try:
                await person.connect()
            except (OSError, WSError):
                self.failed += 1
            else:
                return

    def _say(self, room: str, speaker: "Person | None" = None) -> str:
        number = next(self._serial)
        readers = self.readers[room]
        key = f"c{number}-{id(self):x}"
        self._flights[key] = _Flight(time.perf_counter(), len(readers))
        text = f"{number} ".ljust(TEXT, "x")
        frame = {"type": "send", "room": room, "key": key, "text": text}
        # Always the same one: whoever speaks for the first time in a room has to be looked up.
        (speaker or readers[crc32(room.encode()) % len(readers)]).send(json.dumps(frame))
        return key

    def _are_acked(self, keys: Sequence[str]) -> bool:
        return all(key not in self._flights or self._flights[key].acked for key in keys)

    def _complete(self, key: str, flight: _Flight) -> None:
        if not flight.missing:
            self.said.everywhere.append(time.perf_counter() - flight.sent)
        if flight.acked and flight.missing <= 0:
            del self._flights[key]
        self._changed.set()


class Person(WSListener):
    """Somebody with their connection, and where they are in each of their rooms."""

    def __init__(self, crowd: Crowd, user: str, url: str, rooms: Iterable[str]) -> None:
        self.user = user
        self.url = url
        self.cursors: dict[str, int | None] = dict.fromkeys(rooms)
        self.there = asyncio.Event()
        self._crowd = crowd
        self._token = token(user)
        self._transport: WSTransport | None = None
        self._behind: dict[str, int] = {}
        """Up to which seq the rooms were when they were joined that are not live yet; 0: not joined yet."""
        self._epochs: dict[str, str] = {}

    async def connect(self) -> None:
        """Connect; hello and joins follow by themselves. Raises OSError or WSError."""
        await ws_connect(lambda: self, self.url)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say hello, and join all rooms from where they were left."""
        self._transport = transport
        self._behind = dict.fromkeys(self.cursors, 0)
        self.send(json.dumps({"type": "hello", "token": self._token}))
        for room in self.cursors:
            self._join(transport, room)
        if not self.cursors:
            self.there.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what the gateway says."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        heard = self._crowd.parse(frame.get_payload_as_bytes())
        match heard["type"]:
            case "events":
                self._take(heard["room"], heard["events"])
            case "ack":
                self._crowd.acked(heard["key"])
            case "joined":
                self._joined(heard)
            case "error" if heard["frame"] == "join" and heard["temporary"]:
                self._crowd.refused += 1
                wait = random.uniform(0.0, JITTER)
                asyncio.get_running_loop().call_later(wait, self._join, transport, heard["room"])
            case "error" | "bye":
                self._crowd.fail(f"{self.user}: {heard}")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Come back, if that was to be expected."""
        if self._transport is not None:
            self._transport = None
            self.there.clear()
            self._crowd.moved(len(self._behind) - len(self.cursors))
            self._crowd.lost(self)

    def send(self, frame: str) -> None:
        """Send a frame, if there is a connection."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, frame.encode())

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _join(self, transport: WSTransport, room: str) -> None:
        if transport is self._transport:
            cursor = self.cursors[room]
            since = {} if cursor is None else {"since": cursor, "epoch": self._epochs[room]}
            self.send(json.dumps({"type": "join", "room": room, **since}))

    def _joined(self, frame: Mapping[str, Any]) -> None:
        room, cursor = frame["room"], self.cursors[frame["room"]]
        self._epochs[room] = frame["epoch"]
        self._behind[room] = frame["head"]
        if cursor is None:
            self.cursors[room] = frame["head"]
        elif frame["reset"]:
            self._crowd.fail(f"{self.user} could not go on in {room} after {cursor}")
        self._look(room)

    def _take(self, room: str, events: Sequence[Mapping[str, Any]]) -> None:
        cursor = self.cursors[room]
        if cursor is None or events[0]["seq"] != cursor + 1:
            self._crowd.fail(f"{self.user} was shown {events[0]['seq']} of {room} after {cursor}")
            return
        self.cursors[room] = events[-1]["seq"]
        self._crowd.heard(event["key"] for event in events)
        self._look(room)

    def _look(self, room: str) -> None:
        """See whether a room has become live."""
        if 0 < self._behind.get(room, 0) <= (self.cursors[room] or 0):
            del self._behind[room]
            self._crowd.moved(1)
            if not self._behind:
                self.there.set()
