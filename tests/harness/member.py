"""A chat client that never gives up, and writes down all that it was told."""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from warren.broker.backoff import backoff
from websockets.exceptions import WebSocketException

from harness.line import Frame, Line, LineClosed, TransportName
from harness.talker import open_line

ANSWER_WITHIN = 25.0
"""Seconds to wait for an ack before sending again; above the gateway's own limit."""
POLL_PAUSE = 0.2
"""Seconds between two polls: a crowd that polls as fast as it is answered is another test."""
_SERIAL = itertools.count(1)


@dataclass(slots=True)
class RoomLog:
    """What a member was shown of a room: `events` from the first on, gap-free or it is a violation."""

    since: int
    epoch: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    joined: int = 0
    resets: int = 0

    @property
    def cursor(self) -> int:
        return self.events[-1]["seq"] if self.events else self.since


class Member:
    """One person, following `rooms` through whichever gateway answers.

    `transports`: how it connects the first time, the second time and so on, over and over. `stay`: seconds after which
    it goes on to the next gateway and transport by itself.
    """

    def __init__(
        self, token: str, user: str, gateways: Iterable[str], rooms: Sequence[str],
        transports: Iterable[TransportName] = ("websocket",), stay: float | None = None,
    ) -> None:  # fmt: skip
        self.token = token
        self.user = user
        self.logs = {room: RoomLog(0) for room in rooms}
        self.acks: dict[tuple[str, str], int] = {}
        self.refusals: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self.close_codes: list[int | None] = []
        self.visits: Counter[tuple[TransportName, str]] = Counter()
        """How often it had joined all its rooms, by transport and gateway."""
        self._gateways = itertools.cycle(gateways)
        self._transports = itertools.cycle(transports)
        self._stay = stay
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._line: Line | None = None
        self._ready = asyncio.Event()
        self.moved = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled; whatever is lost is resumed by cursor."""
        waits = backoff(0.05, 1.0)
        while True:
            transport, gateway = next(self._transports), next(self._gateways)
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with open_line(transport, gateway, self.token, pause=POLL_PAUSE) as line:
                    try:
                        async with asyncio.timeout(self._stay):
                            await self._serve(line, (transport, gateway))
                    finally:
                        if self._ready.is_set():
                            waits = backoff(0.05, 1.0)
                        self._line = None
                        self._ready.clear()
                        self._fail_answers()
            await asyncio.sleep(next(waits))

    async def send(self, room: str, text: str, key: str | None = None) -> Frame:
        """Say something and return the ack, or the refusal if it is definite; repeats by key until then."""
        key = key or f"{self.user}-{next(_SERIAL)}"
        waits = backoff(0.05, 1.0)
        while True:
            await self._ready.wait()
            answer = await self._try(room, text, key)
            if answer is not None and answer["type"] == "ack":
                self._acked(room, key, answer["seq"])
                return answer
            if answer is not None and not answer["temporary"]:
                self.refusals.append(answer)
                return answer
            await asyncio.sleep(next(waits))

    async def reached(self, room: str, seq: int) -> None:
        """Wait until the member has been shown the room up to `seq`."""
        while self.logs[room].cursor < seq:
            self.moved.clear()
            await self.moved.wait()

    async def ready(self) -> None:
        """Wait until connected and subscribed to every room."""
        await self._ready.wait()

    async def _serve(self, line: Line, where: tuple[TransportName, str]) -> None:
        self._line = line
        waiting = set(self.logs)
        try:
            for room, log in self.logs.items():
                epoch = {"epoch": log.epoch} if log.epoch else {}
                await line.say({"type": "join", "room": room, "since": log.cursor, **epoch})
            while True:
                self._take(await line.hear(), waiting)
                if not waiting and not self._ready.is_set():
                    self._ready.set()
                    self.visits[where] += 1
        except LineClosed as closed:
            self.close_codes.append(closed.code)

    def _take(self, frame: Frame, waiting: set[str]) -> None:
        match frame["type"]:
            case "events":
                self._events(frame)
            case "ack":
                self._answer(frame)
            case "joined":
                self._joined(frame)
                waiting.discard(frame["room"])
            case "error":
                self._error(frame)

    def _joined(self, frame: Frame) -> None:
        log = self.logs[frame["room"]]
        log.joined += 1
        log.epoch = frame["epoch"]
        if frame["reset"]:
            log.resets += 1
            self.violations.append(f"{self.user} in {frame['room']}: reset at {log.cursor}, head {frame['head']}")

    def _events(self, frame: Frame) -> None:
        log = self.logs[frame["room"]]
        for event in frame["events"]:
            if event["seq"] != log.cursor + 1:
                self.violations.append(
                    f"I3: {self.user} in {frame['room']} was shown seq {event['seq']} after {log.cursor}"
                )
            log.events.append(event)
        self.moved.set()

    def _error(self, frame: Frame) -> None:
        if frame.get("key"):
            self._answer(frame)
        elif frame.get("room") and self._line is not None:
            # A join that failed for now: the connection is given up, and the next one tries again.
            self._line.drop()

    def _answer(self, frame: Frame) -> None:
        future = self._answers.pop(frame["key"], None)
        if future is not None and not future.done():
            future.set_result(frame)

    def _acked(self, room: str, key: str, seq: int) -> None:
        before = self.acks.setdefault((room, key), seq)
        if before != seq:
            self.violations.append(f"I5: key {key} in {room} was acked with seq {before} and with {seq}")

    def _fail_answers(self) -> None:
        for future in self._answers.values():
            if not future.done():
                future.cancel()
        self._answers.clear()

    async def _try(self, room: str, text: str, key: str) -> Frame | None:
        """Send once; return the answer, or None if the connection went away first."""
        line = self._line
        if line is None or not self._ready.is_set():
            return None
        future = self._answers[key] = asyncio.get_running_loop().create_future()
        try:
            await line.say({"type": "send", "room": room, "key": key, "text": text})
            return await asyncio.wait_for(asyncio.shield(future), ANSWER_WITHIN)
        except (LineClosed, TimeoutError):
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None
        finally:
            self._answers.pop(key, None)


async def sign_in(http: httpx.AsyncClient, gateway: str, name: str) -> tuple[str, str]:
    """Return a guest's token and user id."""
    response = await http.post(f"{gateway}/v1/guest", json={"name": name})
    response.raise_for_status()
    found = response.json()
    return found["token"], found["user"]["id"]


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def make_room(http: httpx.AsyncClient, gateway: str, room: str, token: str, kind: str = "public") -> None:
    """Create a room; its first member is the token's owner."""
    response = await http.post(f"{gateway}/v1/rooms", json={"room": room, "kind": kind}, headers=bearer(token))
    response.raise_for_status()


async def become_member(http: httpx.AsyncClient, gateway: str, room: str, token: str) -> None:
    """Join a room."""
    response = await http.put(f"{gateway}/v1/rooms/{room}/members/me", headers=bearer(token))
    response.raise_for_status()


def fresh_room(prefix: str = "room") -> str:
    """Return a room id that no other test uses."""
    return f"{prefix}-{random.getrandbits(40):010x}"
