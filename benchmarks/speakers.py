"""Who says something in a room, over whichever way the clients of a transport take for that."""

import asyncio
import itertools
import json
from typing import Protocol

from harness.tokens import token

from benchmarks.audience import Audience
from benchmarks.exchange import Exchange
from benchmarks.readers import CONNECTED_WITHIN, WebSocketReader

_SERIAL = itertools.count(1)


class Speaker(Protocol):
    """Somebody who says something in one room."""

    async def connect(self) -> None:
        """Connect."""

    def close(self) -> None:
        """Drop the connection."""

    async def say(self, text: str) -> None:
        """Say something; one message is on its way at a time where the transport wants an answer first."""


class WebSocketSpeaker(WebSocketReader):
    """Says it over a WebSocket, on which it also reads."""

    def __init__(self, url: str, room: str, user: str) -> None:
        self._audience = Audience()
        self._room = room
        super().__init__(url, room, user, self._audience)

    async def connect(self) -> None:
        """Connect and join."""
        await super().connect()
        await self._audience.until(lambda: self._audience.ready == 1, CONNECTED_WITHIN)

    def close(self) -> None:
        """Drop the connection."""
        self._audience.over = True
        super().close()

    async def say(self, text: str) -> None:
        """Say something."""
        self.send(type="send", room=self._room, key=f"k{next(_SERIAL)}", text=text)


class HttpSpeaker:
    """Says it by requests."""

    def __init__(self, url: str, room: str, user: str) -> None:
        self._exchange = Exchange(url, token(user))
        self._path = f"/v1/rooms/{room}/messages"
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Connect."""
        await self._exchange.connect()

    def close(self) -> None:
        """Drop the connection."""
        self._exchange.close()

    async def say(self, text: str) -> None:
        """Say something."""
        async with self._turn:
            body = json.dumps({"text": text}).encode()
            await self._exchange.post(self._path, body, f"Idempotency-Key: k{next(_SERIAL)}")


def speaker(gateway: str, transport: str, room: str, user: str) -> Speaker:
    """Return somebody who speaks as clients of this transport do."""
    return (WebSocketSpeaker if transport == "websocket" else HttpSpeaker)(gateway, room, user)
