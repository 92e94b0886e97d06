"""Observers of presence: each keeps its member lists as a client would, and records every frame."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from warren.broker.backoff import backoff
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

GONE = "offline"
People = dict[str, str]
"""Status by user, of those who are there."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of somebody's status as one observer was shown it, in a diff or because one state replaced another."""

    at: float
    observer: str
    room: str
    user: str
    before: str
    after: str


@dataclass(slots=True)
class RoomList:
    """What an observer knows of a room. `version` is None until there was a frame on this connection."""

    people: People = field(default_factory=dict)
    version: int | None = None


class PresenceObserver:
    """One connection of a person who follows `rooms`, kept up through whichever gateway answers while it is `here`."""

    def __init__(
        self, observer_group: "ObserverGroup", token: str, user: str, gateways: Sequence[str], rooms: Sequence[str]
    ) -> None:
        self.user = user
        self.lists = {room: RoomList() for room in rooms}
        self.status = "online"
        self.task: asyncio.Task[None] | None = None
        self.token = token
        self._company = observer_group
        self.gateways = gateways
        """Tried in turn, beginning with the first whenever it comes."""
        self._socket: ClientConnection | None = None
        self._joining: set[str] = set()

    @property
    def here(self) -> bool:
        """Whether this device is to be connected."""
        return self.task is not None

    @property
    def joined(self) -> bool:
        """Whether it is connected and follows every room."""
        return self._socket is not None and not self._joining

    async def report(self, status: str) -> None:
        """Say that somebody is at the device, or not; said again on every new connection."""
        self.status = status
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(json.dumps({"type": "status", "status": status}))

    def drop(self) -> None:
        """Lose the connection; `run` makes another."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        waits = backoff(0.05, 1.0)
        for gateway in itertools.cycle(self.gateways):
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                url = gateway.replace("http", "ws", 1) + "/v1/ws"
                async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
                    try:
                        await self._serve(socket)
                        waits = backoff(0.05, 1.0)
                    finally:
                        self._socket = None
            await asyncio.sleep(next(waits))

    async def _serve(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._joining = set(self.lists)
        await socket.send(json.dumps({"type": "hello", "token": self.token}))
        if self.status != "online":
            await self.report(self.status)
        for room, known in self.lists.items():
            known.version = None
            await self._join(room)
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                await self._take(json.loads(text))

    async def _join(self, room: str) -> None:
        if self._socket is not None:
            await self._socket.send(json.dumps({"type": "join", "room": room}))

    async def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "joined":
                self._joining.discard(frame["room"])
                self._company.stir()
            case "presence":
                await self._presence(frame)
                self._company.stir()
            case "error" if frame["code"] == "unavailable":
                # The broker is away: the connection stays, since it is the server that has to get over it.
                await asyncio.sleep(0.2)
                await self._join(frame["room"])
            case "error":
                self._blame(f"error {frame}")

    async def _presence(self, frame: dict[str, Any]) -> None:
        room, version = frame["room"], frame["version"]
        known = self.lists[room]
        if room in self._joining:
            self._blame(f"{room}: presence before joined")
        if "state" in frame:
            people = {person["user"]: person["status"] for person in frame["state"]}
            if len(people) != len(frame["state"]) or GONE in people.values():
                self._blame(f"{room}: not a state {frame}")
        elif known.version is None or version != known.version + 1:
            self._blame(f"{room}: diff {version} after {known.version}")
            await self._join(room)
            return
        else:
            people = self._patched(room, known.people, frame["diff"])
        self._note(room, known.people, people)
        known.people, known.version = people, version

    def _patched(self, room: str, before: People, diff: list[dict[str, str]]) -> People:
        people = dict(before)
        for person in diff:
            if people.get(person["user"], GONE) == person["status"]:
                self._blame(f"{room}: {person} is no news")
            people[person["user"]] = person["status"]
        return {user: status for user, status in people.items() if status != GONE}

    def _note(self, room: str, before: People, after: People) -> None:
        now = time.monotonic()
        for user in before.keys() | after.keys():
            was, status = before.get(user, GONE), after.get(user, GONE)
            if was != status:
                self._company.shown.append(StatusChange(now, self.user, room, user, was, status))

    def _blame(self, what: str) -> None:
        self._company.violations.append(f"{self.user}: {what}")


class ObserverGroup:
    """All observers of a test, what they were shown in the order in which they were, and what is true."""

    def __init__(self) -> None:
        self.observers: list[PresenceObserver] = []
        self.shown: list[StatusChange] = []
        self.violations: list[str] = []
        self._stirred = asyncio.Event()

    def add(self, token: str, user: str, gateways: Sequence[str], rooms: Sequence[str]) -> PresenceObserver:
        """Return one more device, which is not here yet; the same user may have several."""
        observer = PresenceObserver(self, token, user, gateways, rooms)
        self.observers.append(observer)
        return observer

    def come(self, *observers: PresenceObserver) -> None:
        """Connect these from now on."""
        for observer in observers:
            assert not observer.here
            for known in observer.lists.values():
                known.people = {}
            observer.task = asyncio.create_task(observer.run())

    async def go(self, *observers: PresenceObserver) -> None:
        """Disconnect these."""
        tasks = [observer.task for observer in observers if observer.task is not None]
        for observer in observers:
            observer.task = None
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [error for error in ended if isinstance(error, Exception)]
        if failures:
            raise ExceptionGroup("observers failed", failures)

    def stir(self) -> None:
        """Wake up who waits for a condition."""
        self._stirred.set()

    def truth(self, room: str) -> People:
        """Return who is in the room now: one online device is enough to be online."""
        people: People = {}
        for observer in self.observers:
            if observer.here and room in observer.lists and people.get(observer.user) != "online":
                people[observer.user] = observer.status
        return people

    def wrong(self, users: Iterable[str] | None = None) -> list[str]:
        """Return what does not equal the truth, of these users or all, on the devices that are here."""
        only = None if users is None else set(users)
        found = []
        for observer in self.observers:
            if not observer.here:
                continue
            if not observer.joined:
                found.append(f"{observer.user} has not joined")
            for room, known in observer.lists.items():
                truth = self.truth(room)
                found += [
                    f"{observer.user} in {room} sees {user} {known.people.get(user, GONE)}, not {truth.get(user, GONE)}"
                    for user in known.people.keys() | truth.keys()
                    if (only is None or user in only) and known.people.get(user) != truth.get(user)
                ]
        return found

    async def right(self, within: float, users: Iterable[str] | None = None) -> float:
        """Wait until every list equals the truth (as far as these users go); return the seconds that it took."""
        only = None if users is None else set(users)
        started = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.wrong(only):
                    self._stirred.clear()
                    await self._stirred.wait()
        assert self.wrong(only) == []
        return time.monotonic() - started

    def gone(self, users: Iterable[str], since: float = 0.0) -> list[StatusChange]:
        """Return where somebody was shown one of these users going."""
        those = set(users)
        return [shown for shown in self.shown if shown.at >= since and shown.user in those and shown.after == GONE]


@asynccontextmanager
async def observer_group() -> AsyncIterator[ObserverGroup]:
    """Return a company that is disbanded in the end."""
    found = ObserverGroup()
    try:
        yield found
    finally:
        await found.go(*found.observers)
