"""A client that reconnects for ever, and records everything that it is sent."""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from warren.broker.backoff import backoff
from warren.contract.codes import Close
from websockets.exceptions import WebSocketException

from harness.scripted_client import open_transport
from harness.transport import Frame, Transport, TransportClosed, TransportName

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
    shown_at: list[float] = field(default_factory=list)
    """When it was shown each of them, on the clock of time.monotonic."""
    joined: int = 0
    resets: int = 0

    @property
    def cursor(self) -> int:
        return self.events[-1]["seq"] if self.events else self.since


class ResilientClient:
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
        self.setbacks: Counter[str] = Counter()
        """What it had to try again, by error code, or by what a connection failed with."""
        self.began: dict[tuple[str, str], float] = {}
        """When it first tried to say something, by room and key."""
        self.visits: Counter[tuple[TransportName, str]] = Counter()
        """How often it had joined all its rooms, by transport and gateway."""
        self._gateways = itertools.cycle(gateways)
        self._transports = itertools.cycle(transports)
        self._stay = stay
        self._answers: dict[str, asyncio.Future[Frame | None]] = {}
        self._line: Transport | None = None
        self._ready = asyncio.Event()
        self.moved = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled; whatever is lost is resumed by cursor."""
        waits = backoff(0.05, 1.0)
        while True:
            transport, gateway = next(self._transports), next(self._gateways)
            try:
                async with open_transport(transport, gateway, self.token, pause=POLL_PAUSE) as line:
                    try:
                        with contextlib.suppress(TimeoutError):  # it goes on by itself
                            async with asyncio.timeout(self._stay):
                                await self._serve(line, (transport, gateway))
                    finally:
                        if self._ready.is_set():
                            waits = backoff(0.05, 1.0)
                        self._line = None
                        self._ready.clear()
                        self._fail_answers()
            except TransportClosed as closed:
                self.close_codes.append(closed.code)
                if closed.code != Close.GOING_AWAY:
                    self.setbacks[f"{transport} at {gateway}: {closed}"] += 1
            except (OSError, WebSocketException) as error:
                self.setbacks[repr(error)] += 1
            await asyncio.sleep(next(waits))

    async def send(self, room: str, text: str, key: str | None = None) -> Frame:
        """Say something and return the ack, or the refusal if it is definite; repeats by key until then."""
        key = key or f"{self.user}-{next(_SERIAL)}"
        self.began.setdefault((room, key), time.monotonic())
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
            if answer is not None:
                self.setbacks[f"{answer['code']}: {answer['detail']}"] += 1
            await asyncio.sleep(next(waits))

    async def reached(self, room: str, seq: int) -> None:
        """Wait until the member has been shown the room up to `seq`."""
        while self.logs[room].cursor < seq:
            self.moved.clear()
            await self.moved.wait()

    async def ready(self) -> None:
        """Wait until connected and subscribed to every room."""
        await self._ready.wait()

    @property
    def state(self) -> str:
        """What somebody who looks into a failed test wants to know."""
        where = "connected" if self._ready.is_set() else "not connected" if self._line is None else "joining"
        heads = ", ".join(f"{room} {log.cursor}" for room, log in self.logs.items())
        return f"{self.user} {where}, at {heads}, {len(self._answers)} unanswered, {dict(self.setbacks)}"

    async def _serve(self, line: Transport, where: tuple[TransportName, str]) -> None:
        """Follow the rooms until the line is closed, which raises LineClosed."""
        self._line = line
        waiting = set(self.logs)
        for room, log in self.logs.items():
            epoch = {"epoch": log.epoch} if log.epoch else {}
            await line.say({"type": "join", "room": room, "since": log.cursor, **epoch})
        while True:
            self._take(await line.hear(), waiting)
            if not waiting and not self._ready.is_set():
                self._ready.set()
                self.visits[where] += 1

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
        log, now = self.logs[frame["room"]], time.monotonic()
        for event in frame["events"]:
            if event["seq"] != log.cursor + 1:
                self.violations.append(
                    f"I3: {self.user} in {frame['room']} was shown seq {event['seq']} after {log.cursor}"
                )
            log.events.append(event)
            log.shown_at.append(now)
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
                future.set_result(None)
        self._answers.clear()

    async def _try(self, room: str, text: str, key: str) -> Frame | None:
        """Send once; return the answer, or None if the connection went away first."""
        line = self._line
        if line is None or not self._ready.is_set():
            return None
        future = self._answers[key] = asyncio.get_running_loop().create_future()
        try:
            await line.say({"type": "send", "room": room, "key": key, "text": text})
            async with asyncio.timeout(ANSWER_WITHIN):  # unlike wait_for it never loses a cancellation
                answer: Frame | None = await future
                return answer
        except (TransportClosed, TimeoutError):
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


async def join_room(http: httpx.AsyncClient, gateway: str, room: str, token: str) -> None:
    """Join a room."""
    response = await http.put(f"{gateway}/v1/rooms/{room}/members/me", headers=bearer(token))
    response.raise_for_status()


def fresh_room(prefix: str = "room") -> str:
    """Return a room id that no other test uses."""
    return f"{prefix}-{random.getrandbits(40):010x}"
