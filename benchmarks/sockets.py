"""What a WebSocket costs its gateway: `./dev bench sockets`.

Processor time for a connection with its hello and join, one after the other and many at once; memory of one that then
only stays; processor time for a ping and its pong; and for each delivery of messages to one room, one message at a
time. What the gateway takes at rest is taken off. The connections stay between the parts, as people do.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil
import uvloop
from harness.resilient_client import fresh_room, join_room, make_room
from harness.stack import Stack
from harness.tokens import token
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from warren.contract.ids import new_id

from benchmarks.cpu import loop_seconds
from benchmarks.warren import AT_ONCE, running_stack

OWNER = "owner"
REST = 4.0
"""Seconds for which the gateway is measured by itself, after as many in which it gets over its start."""
BEFORE = 100
"""Connections that are made before any is measured: the first ones make what all of them use."""
PINGS = 20
"""Pings of each connection."""
TEXT = 200
"""Characters of a message."""
WITHIN = 60.0
"""Seconds for each part to complete."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sockets", type=int, default=300, help="connections made one after the other, and as many at once"
    )
    parser.add_argument("--messages", type=int, default=200, help="messages, each to all of them")
    options = parser.parse_args()
    uvloop.run(bench(options.sockets, options.messages))


async def bench(sockets: int, messages: int) -> None:
    """Measure one gateway, beside one writer."""
    async with running_stack(1, 1) as stack:
        room, users = fresh_room("sockets"), [f"m{number}" for number in range(2 * sockets + BEFORE)]
        await fill(stack.gateways[0].url, room, users)
        gateway = Gateway(stack)
        await gateway.settle()
        print(f"{len(users)} WebSockets in one room, of one gateway", flush=True)
        readers = [Reader(room, user) for user in users]
        try:
            await connect(gateway, readers[:BEFORE], 1)
            resident, middle = gateway.resident, BEFORE + sockets
            show("connect, hello and join, us", await connect(gateway, readers[BEFORE:middle], 1) / sockets * 1e6)
            show("the same, many at once, us", await connect(gateway, readers[middle:], AT_ONCE) / sockets * 1e6)
            show("resident, KiB", (gateway.resident - resident) / sockets / 2 / 1024)
            show("ping and pong, us", await ping(gateway, readers) / PINGS / len(readers) * 1e6)
            written, count = gateway.writes, messages * len(readers)
            show("a delivery, us", await deliver(gateway, readers, messages) / count * 1e6)
            show("writes a delivery", (gateway.writes - written) / count)
        finally:
            for reader in readers:
                reader.close()


def show(what: str, figure: float) -> None:
    """Print a figure."""
    print(f"  {what:32}{figure:10.2f}", flush=True)


class Gateway:
    """The process that is measured."""

    def __init__(self, stack: Stack) -> None:
        process = stack.gateways[0]
        self._pid = process.pid or 0
        self.url = process.url.replace("http", "ws", 1) + "/v1/ws"
        self._rest = 0.0

    async def settle(self) -> None:
        """Measure what it takes a second by itself."""
        await asyncio.sleep(REST)
        before = loop_seconds(self._pid)
        await asyncio.sleep(REST)
        self._rest = (loop_seconds(self._pid) - before) / REST

    async def measure(self, part: asyncio.Task[None]) -> float:
        """Return the CPU seconds that it takes until this is done, beyond what it takes anyhow."""
        loop = asyncio.get_running_loop()
        began, before = loop.time(), loop_seconds(self._pid)
        async with asyncio.timeout(WITHIN):
            await part
        return loop_seconds(self._pid) - before - self._rest * (loop.time() - began)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(psutil.Process(self._pid).memory_info().rss)

    @property
    def writes(self) -> int:
        """System calls that wrote something, to whatever, since it started."""
        lines = Path(f"/proc/{self._pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("syscw:"))


class Reader(WSListener):
    """One connection; `heard` is set when the frame that was waited for has come, as often as it was waited for."""

    def __init__(self, room: str, user: str) -> None:
        self._room = room
        self._hello = json.dumps({"type": "hello", "token": token(user)}).encode()
        self._transport: WSTransport | None = None
        self._awaited = b""
        self._missing = 0
        self._done: Callable[[], None] = lambda: None

    async def connect(self, url: str) -> None:
        """Connect, say hello and join; return when that is done."""
        joined = self.await_frames(b'{"type":"joined"', 1)
        await ws_connect(lambda: self, url)
        self.send(self._hello)
        self.send(json.dumps({"type": "join", "room": self._room}).encode())
        await joined

    def await_frames(self, opening: bytes, number: int) -> "asyncio.Future[None]":
        """Return what is done when so many frames have come that begin like this."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited, self._missing = opening, number

        def done() -> None:
            if not future.done():  # it may have been given up
                future.set_result(None)

        self._done = done
        return future

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, frame)

    def say(self, text: str) -> None:
        """Say something in the room."""
        frame = {"type": "send", "room": self._room, "key": new_id(), "text": text}
        self.send(json.dumps(frame).encode())

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take note of the connection."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count what is waited for."""
        if frame.msg_type == WSMsgType.TEXT and frame.get_payload_as_bytes().startswith(self._awaited):
            self._missing -= 1
            if not self._missing:
                self._done()


async def connect(gateway: Gateway, readers: Sequence[Reader], at_once: int) -> float:
    """Connect them, so many at once at most, until all have joined; return the gateway's CPU seconds."""
    slots = asyncio.Semaphore(at_once)

    async def one(reader: Reader) -> None:
        async with slots:
            await reader.connect(gateway.url)

    async def run() -> None:
        await asyncio.gather(*map(one, readers))

    return await gateway.measure(asyncio.create_task(run()))


async def ping(gateway: Gateway, readers: Sequence[Reader]) -> float:
    """Have everybody ping, each time after their pong; return the gateway's CPU seconds."""

    async def run() -> None:
        for _ in range(PINGS):
            pongs = [reader.await_frames(b'{"type":"pong"', 1) for reader in readers]
            for reader in readers:
                reader.send(b'{"type":"ping"}')
            await asyncio.gather(*pongs)

    return await gateway.measure(asyncio.create_task(run()))


async def deliver(gateway: Gateway, readers: Sequence[Reader], messages: int) -> float:
    """Say something as soon as everybody has the message before; return the gateway's CPU seconds."""

    async def run() -> None:
        for number in range(messages):
            heard = [reader.await_frames(b'{"type":"events"', 1) for reader in readers]
            readers[0].say(f"{number} ".ljust(TEXT, "x"))
            await asyncio.gather(*heard)

    return await gateway.measure(asyncio.create_task(run()))


async def fill(gateway: str, room: str, users: Sequence[str]) -> None:
    """Make the room, and all of these people members of it."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=60) as http:
        await make_room(http, gateway, room, token(OWNER))

        async def belong(user: str) -> None:
            async with slots:
                await join_room(http, gateway, room, token(user))

        await asyncio.gather(*map(belong, users))


if __name__ == "__main__":
    main()
