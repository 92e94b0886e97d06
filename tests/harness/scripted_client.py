"""A client that sends exactly the frames that a test wants and returns exactly what came back, over any transport."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection

from harness.polling_transport import connect_polling
from harness.sse_transport import connect_sse
from harness.transport import WITHIN, Frame, Transport, TransportClosed, TransportName
from harness.websocket_transport import WebSocketTransport, open_websocket

_SERIAL = itertools.count(1)


class ScriptedClient:
    """One client. Frames that were not asked for are kept in `passed`."""

    def __init__(self, line: Transport) -> None:
        self.line = line
        self.passed: list[Frame] = []

    async def say(self, **fields: Any) -> None:
        """Say a frame."""
        await self.line.say(fields)

    async def next(self) -> Frame:
        """Return the next frame, whatever it is. Raises LineClosed."""
        async with asyncio.timeout(WITHIN):
            return await self.line.hear()

    async def expect(self, *kinds: str, **fields: Any) -> Frame:
        """Return the next frame of one of these types, with these values."""
        while True:
            found = await self.next()
            if found["type"] in kinds and all(found.get(name) == value for name, value in fields.items()):
                return found
            self.passed.append(found)

    async def ask(self, *kinds: str, **fields: Any) -> Frame:
        """Say a frame and return the answer, of one of these types."""
        await self.say(**fields)
        return await self.expect(*kinds)

    async def error(self, **fields: Any) -> Frame:
        """Say a frame that is refused, and return the error frame."""
        return await self.ask("error", **fields)

    async def join(self, room: str, since: int | None = None, epoch: str | None = None) -> Frame:
        """Subscribe and return `joined`, or the error."""
        cursor = {name: value for name, value in (("since", since), ("epoch", epoch)) if value is not None}
        await self.say(type="join", room=room, **cursor)
        return await self.expect("joined", "error", room=room)

    async def leave(self, room: str) -> Frame:
        """End the subscription."""
        return await self.ask("left", type="leave", room=room)

    async def send(self, room: str, text: str, key: str | None = None) -> Frame:
        """Say something in a room and return the ack or the error."""
        key = key or f"t{next(_SERIAL)}"
        await self.say(type="send", room=room, key=key, text=text)
        return await self.expect("ack", "error", key=key)

    async def typing(self, room: str) -> None:
        """Say that one is typing."""
        await self.say(type="typing", room=room)

    async def status(self, status: str) -> None:
        """Say whether anybody is at the device."""
        await self.say(type="status", status=status)

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

    async def caught_up(self, room: str) -> list[Frame]:
        """Say something in a room that one follows, and return all else that has come by the time it is shown."""
        await self.events(room, (await self.send(room, "caught up?"))["seq"])
        found, self.passed = self.passed, []
        return found

    async def closed(self) -> int | None:
        """Return the code with which the gateway ends it, reading on until it does."""
        async with asyncio.timeout(WITHIN):
            try:
                while True:
                    self.passed.append(await self.line.hear())
            except TransportClosed as error:
                return error.code


class ScriptedSocketClient(ScriptedClient):
    """A client over a WebSocket, for what only that has."""

    line: WebSocketTransport

    @property
    def socket(self) -> ClientConnection:
        """The connection below the frames."""
        return self.line.socket

    async def quiet(self) -> list[Frame]:
        """Return what has come by the time the gateway answers a ping: everything sent before that."""
        await self.ask("pong", type="ping")
        found, self.passed = self.passed, []
        return found


def _events(frame: Frame, room: str) -> list[dict[str, Any]]:
    return list(frame["events"]) if frame["type"] == "events" and frame["room"] == room else []


@asynccontextmanager
async def connect(gateway: str, token: str | None = None, **options: Any) -> AsyncIterator[ScriptedSocketClient]:
    """Connect to a gateway by WebSocket, and say hello if there is a token; `options` go to `websockets.connect`."""
    async with open_websocket(gateway, **options) as line:
        client = ScriptedSocketClient(line)
        if token is not None:
            await client.ask("welcome", type="hello", token=token)
        yield client


@asynccontextmanager
async def connect_over(
    transport: TransportName, gateway: str, token: str, address: str | None = None
) -> AsyncIterator[ScriptedClient]:
    """Be somebody's client over this transport, at the address if given. A refused token shows with the first room."""
    async with open_transport(transport, gateway, token, address) as line:
        yield ScriptedClient(line)


@asynccontextmanager
async def open_transport(
    transport: TransportName, gateway: str, token: str, address: str | None = None, pause: float = 0.0
) -> AsyncIterator[Transport]:
    """Open a line on which one is known. `pause`: seconds between two polls."""
    if transport == "websocket":
        options: dict[str, Any] = {} if address is None else {"local_addr": (address, 0)}
        async with open_websocket(gateway, **options) as line:
            await line.say({"type": "hello", "token": token})
            yield line
    else:
        over: AbstractAsyncContextManager[Transport]
        over = (
            connect_sse(gateway, token, address)
            if transport == "sse"
            else connect_polling(gateway, token, address, pause)
        )
        async with over as rest:
            yield rest
