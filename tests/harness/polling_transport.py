"""The transport by long polling, as fast as it is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from harness.http_transport import HttpTransport, http_client
from harness.transport import FRAME_BYTES, Frame

WAIT = 25


class PollingTransport(HttpTransport):
    """A Line over polls: each asks with the cursors of the last answer, as they are."""

    def __init__(self, http: httpx.AsyncClient, gateway: str, token: str, pause: float) -> None:
        super().__init__(http, gateway, token)
        self._pause = pause
        self.cursors: dict[str, dict[str, Any]] = {}

    def _follow(self, room: str, since: int | None, epoch: str | None) -> None:
        place = {"since": since, "epoch": epoch, "presence": ""}
        self.cursors[room] = {name: value for name, value in place.items() if value is not None}

    def _forget(self, room: str) -> None:
        self.cursors.pop(room, None)

    async def _serve(self) -> int | None:
        while self.cursors:
            # With rooms just asked for it does not wait: the answer says that they are followed.
            wait = 0 if self._asked else WAIT
            body = {"cursors": self.cursors, "wait": wait, "status": self._status}
            response = await self._http.post(f"{self._api}/poll", json=body, headers=self._headers)
            if response.status_code != 200:
                return self._refused(response)
            assert len(response.content) <= FRAME_BYTES
            self._take(response.json())
            await asyncio.sleep(self._pause)
        await self._nothing()
        return None

    def _take(self, answer: dict[str, Any]) -> None:
        rooms, self.cursors = answer["rooms"], answer["cursors"]
        for room in sorted(self._asked & self.cursors.keys() - rooms.keys()):
            # It stands where it was asked for: there is nothing to tell.
            self._asked.discard(room)
            place = self.cursors[room]
            self._put({"type": "joined", "room": room, "head": place["since"], "epoch": place["epoch"], "reset": False})
        for room, news in rooms.items():
            for frame in self._frames(room, news):
                self._put({"room": room, **frame})

    def _frames(self, room: str, news: dict[str, Any]) -> list[Frame]:
        """Return what a WebSocket would say."""
        found: list[Frame] = []
        if "head" in news and (room in self._asked or news["reset"]):
            told = {name: news[name] for name in ("epoch", "head", "number", "read", "reset")}
            found.append({"type": "joined", **told})
        if "events" in news:
            found.append({"type": "events", "events": news["events"]})
        if "presence" in news:
            found.append(news["presence"])
        found += [{"type": "typing", **typist} for typist in news.get("typing", ())]
        if "left" in news:
            found.append({"type": "left", **news["left"]})
        if "error" in news:
            found.append({"type": "error", "frame": "join", **news["error"]})
            self._forget(room)  # one that is temporary, too: it is asked for again like any other
        if found:
            self._asked.discard(room)
        return found


@asynccontextmanager
async def connect_polling(
    gateway: str, token: str, address: str | None = None, pause: float = 0.0
) -> AsyncIterator[PollingTransport]:
    """Make a line, which sends its first poll with its first room; `pause`: seconds between two."""
    async with http_client(address) as http:
        line = PollingTransport(http, gateway, token, pause)
        try:
            yield line
        finally:
            await line.aclose()
