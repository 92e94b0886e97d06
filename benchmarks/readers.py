"""Readers of one room each, over any transport, with as little work as possible."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast
from urllib.parse import urlsplit

from harness.tokens import token
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.audience import Audience, Frame, Place
from benchmarks.exchange import Exchange

PING = 25.0
"""Seconds between two pings on a WebSocket, as `welcome` asks for."""
WAIT = 25.0
"""Seconds that a poll waits, as those of /client.js do."""
POLLS_APART = 0.25
"""Seconds at least from poll to poll, as in /client.js."""
CONNECTED_WITHIN = 60.0
AT_ONCE = 50
"""Readers connecting at the same time."""


class Reader(Protocol):
    """One connection that reads one room."""

    async def connect(self) -> None:
        """Begin to read."""

    def close(self) -> None:
        """End it."""


class WebSocketReader(WSListener):
    """Reads over a WebSocket and pings, not at the same moment as all others."""

    def __init__(self, url: str, room: str, user: str, audience: Audience) -> None:
        self._url = url.replace("http", "ws", 1) + "/v1/ws"
        self._place = Place(audience, room, user)
        self._transport: WSTransport | None = None
        self._ping: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        """Connect, and join as soon as the gateway lets us."""
        await ws_connect(lambda: self, self._url)
        self._ping = asyncio.get_running_loop().call_later(random.uniform(0, PING), self._pinging)

    def close(self) -> None:
        """Drop the connection."""
        if self._ping is not None:
            self._ping.cancel()
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def send(self, **frame: str) -> None:
        """Send a frame."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say hello and join."""
        self._transport = transport
        self.send(type="hello", token=token(self._place.user))
        self.send(type="join", room=self._place.room)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what the gateway says."""
        if frame.msg_type == WSMsgType.TEXT:
            self._place.hear(self._place.audience.parse(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Nobody may be cut off."""
        self._place.audience.lost(self._place.user)

    def _pinging(self) -> None:
        self.send(type="ping")
        self._ping = asyncio.get_running_loop().call_later(PING, self._pinging)


class StreamReader(asyncio.Protocol):
    """Reads a stream of events."""

    def __init__(self, url: str, room: str, user: str, audience: Audience) -> None:
        self._where = urlsplit(url)
        self._place = Place(audience, room, user)
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    async def connect(self) -> None:
        """Open the stream."""
        host, port = self._where.hostname, self._where.port
        await asyncio.get_running_loop().create_connection(lambda: self, host or "", port or 80)

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast(asyncio.Transport, transport)
        head = f"Host: {self._where.netloc}\r\nAuthorization: Bearer {token(self._place.user)}"
        self._transport.write(f"GET /v1/sse?room={self._place.room} HTTP/1.1\r\n{head}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Take the events that are complete. Sizes of chunks stand between events, where they are passed over."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            _, found, body = event.partition(b"\ndata: ")
            if found:
                self._place.hear(self._place.audience.parse(body.partition(b"\n")[0]))
            elif event.startswith(b"HTTP/1.1 ") and b" 200 " not in event[:14]:
                self._place.audience.fail(f"{self._place.user}: {event!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may be cut off."""
        self._place.audience.lost(self._place.user)


class PollingReader:
    """Polls, with the pauses of /client.js."""

    def __init__(self, url: str, room: str, user: str, audience: Audience) -> None:
        self._exchange = Exchange(url, token(user))
        self._place = Place(audience, room, user)
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect, and poll until closed."""
        await self._exchange.connect()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """Drop the connection."""
        if self._task is not None:
            self._task.cancel()
        self._exchange.close()

    async def _run(self) -> None:
        audience, room = self._place.audience, self._place.room
        cursors: Frame = {room: {"presence": ""}}
        try:
            while True:
                asked = time.perf_counter()
                audience.requests += 1
                body = json.dumps({"cursors": cursors, "wait": WAIT}).encode()
                answer = audience.parse(await self._exchange.post("/v1/poll", body))
                self._heard(answer["rooms"].get(room, {}))
                cursors = answer["cursors"]
                await asyncio.sleep(max(0.0, asked + POLLS_APART - time.perf_counter()))
        except (OSError, asyncio.CancelledError) as error:
            audience.fail(f"{self._place.user}: {error!r}")

    def _heard(self, news: Frame) -> None:
        if "error" in news or "left" in news:
            self._place.audience.fail(f"{self._place.user}: {news}")
        elif not self._place.is_known:
            self._place.joined(news["head"])
        elif "events" in news:
            self._place.take(news["events"])


TRANSPORTS: dict[str, Callable[[str, str, str, Audience], Reader]] = {
    "websocket": WebSocketReader,
    "sse": StreamReader,
    "polling": PollingReader,
}


async def gather(audience: Audience, readers: Sequence[Reader]) -> None:
    """Connect all of them and wait until each is in its room."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def connect(reader: Reader) -> None:
        async with slots:
            await reader.connect()

    await asyncio.gather(*(connect(reader) for reader in readers))
    await audience.until(lambda: audience.ready >= len(readers), CONNECTED_WITHIN)
