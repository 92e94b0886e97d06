"""A WebSocket client that says exactly what a test wants and shows exactly what came back."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""
_SERIAL = itertools.count(1)


class Talker:
    """One connection. Frames that were not asked for are kept in `passed`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.passed: list[dict[str, Any]] = []

    async def say(self, **fields: Any) -> None:
        """Send a JSON object."""
        await self.socket.send(json.dumps(fields))

    async def next(self) -> dict[str, Any]:
        """Return the next frame, whatever it is. Raises ConnectionClosed."""
        async with asyncio.timeout(WITHIN):
            found = json.loads(await self.socket.recv())
        assert isinstance(found, dict)
        return found

    async def expect(self, *kinds: str, **fields: Any) -> dict[str, Any]:
        """Return the next frame of one of these types, with these values."""
        while True:
            found = await self.next()
            if found["type"] in kinds and all(found.get(name) == value for name, value in fields.items()):
                return found
            self.passed.append(found)

    async def ask(self, *kinds: str, **fields: Any) -> dict[str, Any]:
        """Send a JSON object and return the answer, of one of these types."""
        await self.say(**fields)
        return await self.expect(*kinds)

    async def error(self, **fields: Any) -> dict[str, Any]:
        """Send a JSON object that is refused, and return the error frame."""
        return await self.ask("error", **fields)

    async def join(self, room: str, since: int | None = None, epoch: str | None = None) -> dict[str, Any]:
        """Subscribe and return `joined`."""
        cursor = {name: value for name, value in (("since", since), ("epoch", epoch)) if value is not None}
        await self.say(type="join", room=room, **cursor)
        return await self.expect("joined", "error", room=room)

    async def send(self, room: str, text: str, key: str | None = None) -> dict[str, Any]:
        """Say something in a room and return the ack or the error."""
        key = key or f"t{next(_SERIAL)}"
        await self.say(type="send", room=room, key=key, text=text)
        return await self.expect("ack", "error", key=key)

    async def events(self, room: str, upto: int) -> list[dict[str, Any]]:
        """Return the room's events, from those that came unasked on, until seq `upto` has come."""
        found = [event for frame in self.passed for event in _events(frame, room)]
        self.passed = [frame for frame in self.passed if not _events(frame, room)]
        while not found or found[-1]["seq"] < upto:
            frame = await self.next()
            events = _events(frame, room)
            found += events
            if not events:
                self.passed.append(frame)
        return found

    async def quiet(self) -> list[dict[str, Any]]:
        """Return what has come by the time the gateway answers a ping: everything sent before that."""
        await self.ask("pong", type="ping")
        found, self.passed = self.passed, []
        return found

    async def closed(self) -> int | None:
        """Return the code with which the gateway closes the connection, reading on until it does."""
        async with asyncio.timeout(WITHIN):
            try:
                while True:
                    self.passed.append(json.loads(await self.socket.recv()))
            except ConnectionClosed:
                return self.socket.close_code


def _events(frame: dict[str, Any], room: str) -> list[dict[str, Any]]:
    return list(frame["events"]) if frame["type"] == "events" and frame["room"] == room else []


@asynccontextmanager
async def talk(gateway: str, token: str | None = None, **options: Any) -> AsyncIterator[Talker]:
    """Connect to a gateway, and say hello if there is a token; `options` go to `websockets.connect`."""
    url = gateway.replace("http", "ws", 1) + "/v1/ws"
    # Without a bound on what waits to be read: at 16 frames the library stops reading, and closing takes it 10 s then.
    async with connect(url, compression=None, max_size=None, max_queue=None, ping_interval=None, **options) as socket:
        talker = Talker(socket)
        if token is not None:
            await talker.ask("welcome", type="hello", token=token)
        yield talker
