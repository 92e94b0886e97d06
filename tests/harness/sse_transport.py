"""The transport by Server-Sent Events, parsed as the standard says, without a library."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from harness.http_transport import HttpTransport, http_client
from harness.transport import FRAME_BYTES, Frame


@dataclass(frozen=True, slots=True)
class Event:
    """One event; a comment has none of the fields."""

    kind: str | None = None
    data: str = ""
    id: str | None = None
    retry: str | None = None


class EventParser:
    """Makes events of bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events and comments that are complete now."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            assert len(block) + 2 <= FRAME_BYTES
            yield _event(block.decode())


def _event(block: str) -> Event:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        if name:
            assert name in ("event", "data", "id", "retry"), line
            assert name not in fields, block  # nothing here is longer than a line
            fields[name] = value.removeprefix(" ")
    return Event(fields.get("event"), fields.get("data", ""), fields.get("id"), fields.get("retry"))


class SseTransport(HttpTransport):
    """A Line over SSE: opened anew, at the last event's id, to follow further rooms or to say who is at the device."""

    def __init__(self, http: httpx.AsyncClient, gateway: str, token: str) -> None:
        super().__init__(http, gateway, token)
        self._epoch = ""
        self._places: dict[str, str] = {}
        """How far each room has come, as the cursor has it."""
        self._welcomed = False
        self._bye: int | None = None
        self.comments = 0

    @property
    def cursor(self) -> str:
        """Where to go on."""
        return ".".join((self._epoch, *self._places.values()))

    def _follow(self, room: str, since: int | None, epoch: str | None) -> None:
        self._epoch = epoch or self._epoch
        self._places[room] = "" if since is None else str(since)

    def _forget(self, room: str) -> None:
        self._places.pop(room, None)

    async def _serve(self) -> int | None:
        if not self._places:
            await self._nothing()
        rooms = list(self._places)
        headers = {**self._headers, "Last-Event-ID": self.cursor}
        query = httpx.QueryParams({"room": rooms, "status": self._status})
        async with self._http.stream("GET", f"{self._api}/sse", params=query, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                return self._refused(response)
            assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
            with contextlib.suppress(httpx.HTTPError):  # the end of who is cut may come without an end
                parser = EventParser()
                async for data in response.aiter_raw():
                    for event in parser.feed(data):
                        self._take(event, rooms)
        return self._bye

    def _take(self, event: Event, rooms: list[str]) -> None:
        if event.id is not None:
            self._epoch, *seqs = event.id.split(".")
            self._places |= {room: at for room, at in zip(rooms, seqs, strict=True) if room in self._places}
        if event.kind is None:
            self.comments += event.retry is None
            return
        frame = json.loads(event.data)
        assert frame["type"] == event.kind
        if self._is_news(frame):
            self._put(frame)

    def _is_news(self, frame: Frame) -> bool:
        """Whether a WebSocket would say it, too: rooms that were followed before are joined again with each stream."""
        match frame:
            case {"type": "welcome"}:
                welcomed, self._welcomed = self._welcomed, True
                return not welcomed
            case {"type": "joined", "room": room, "reset": reset}:
                asked = room in self._asked
                self._asked.discard(room)
                return asked or reset
            case {"type": "left", "room": room} | {"type": "error", "room": room}:
                self._asked.discard(room)
                self._forget(room)
            case {"type": "bye", "code": code}:
                self._bye = code
        return True


@asynccontextmanager
async def connect_sse(gateway: str, token: str, address: str | None = None) -> AsyncIterator[SseTransport]:
    """Make a line, which opens its first stream with its first room."""
    async with http_client(address) as http:
        line = SseTransport(http, gateway, token)
        try:
            yield line
        finally:
            await line.aclose()
