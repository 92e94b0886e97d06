"""What is below frames and requests has bounds, too: control frames, pieces, heads and bodies that do not end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import warren_gateway.http.listener as listener_module
from harness.in_process_gateway import served
from harness.raw_clients import CLOSE, CONTINUATION, PING, RawClient, frame, raw_connect, raw_open
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from warren.rates import Rate
from warren_gateway.http.listener import EXTENSION, HEADERS, PIECES, Listener
from warren_gateway.transports import websocket_handshake
from warren_gateway.transports.websocket_protocol import Socket

PONG = 0xA
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""


class App:
    """Reads what comes: of a request its body, of a WebSocket its messages until it ends."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.bodies: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.messages = 0
        self.asked = asyncio.Event()
        self.listener: Listener | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._http(Request(scope, receive), scope, receive, send)

    def serve(self, socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
        def over() -> None:
            ended()
            self.ended.set()

        socket.serve(self, over, early)

    def receive(self, data: str | None) -> None:
        self.messages += 1

    async def _http(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        self.listener = scope["extensions"][EXTENSION]
        self.asked.set()
        try:
            self.bodies.put_nowait(await request.body())
        except ClientDisconnect:
            self.bodies.put_nowait(None)
            return
        await PlainTextResponse(str(len(scope["headers"])))(scope, receive, send)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def gateway(app: App) -> AsyncIterator[str]:
    async with served(app, app.serve) as url:
        yield url


@asynccontextmanager
async def connected(gateway: str) -> AsyncIterator[RawClient]:
    client = await raw_connect(gateway)
    try:
        yield client
    finally:
        client.abort()


async def closed(client: RawClient) -> tuple[int | None, int]:
    """Read to the end; return the code, and how many pongs came before it."""
    pongs = 0
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                opcode, payload = await client.read_frame()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2]), pongs
                pongs += opcode == PONG
    except (OSError, EOFError):
        return None, pongs


FLOODS = {
    "pings": frame(b"", PING),
    "pings with a payload": frame(b"x" * 125, PING),
    "pongs": frame(b"", PONG),
}


@pytest.mark.parametrize("one", FLOODS.values(), ids=FLOODS.keys())
async def test_control_frames_are_counted_from_the_first_one_on(app: App, gateway: str, one: bytes) -> None:
    """Nobody has said hello here."""
    began = time.monotonic()
    async with connected(gateway) as client:
        flooding = asyncio.create_task(client.push(one * 20_000))
        code, pongs = await closed(client)
        assert code == 4505
        await app.ended.wait()
        assert pongs <= Socket.frames_rate.burst + Socket.frames_rate.per_second * (time.monotonic() - began)
        client.abort()
        await flooding


async def test_pieces_of_messages_are_counted(gateway: str) -> None:
    async with connected(gateway) as client:
        await client.push((frame(b"", fin=False) + frame(b"", CONTINUATION)) * 2_000)
        assert (await closed(client))[0] == 4505


async def test_so_many_pings_are_answered(gateway: str) -> None:
    most = int(Socket.frames_rate.burst)
    async with connected(gateway) as client:
        await client.push(frame(b"", PING) * most + frame(b"\x03\xe8", CLOSE))
        assert await closed(client) == (1000, most)


async def test_frames_of_all_kinds_are_taken_from_one_bucket(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Socket, "frames_rate", Rate(0.001, 10))
    async with connected(gateway) as client:
        await client.push((frame(b"", PING) + frame(b"x", fin=False) + frame(b"", CONTINUATION)) * 5)
        await client.push(frame(b"", PING))
        assert (await closed(client))[0] == 4505
    assert app.messages <= 5


async def test_a_close_is_found_behind_little_and_not_behind_a_flood(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a peer had sent before it heard of the end is looked through for its answer, up to a bound on frames."""
    monkeypatch.setattr(Socket, "frames_rate", Rate(0.001, 2))
    lost: asyncio.Queue[bool] = asyncio.Queue()

    class Watched(Socket):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.put_nowait(self._on_the_way >= 0)
            super().connection_lost(exc)

    monkeypatch.setattr(websocket_handshake, "Socket", Watched)
    async with served(app, app.serve) as gateway:
        for pings, ends in ((100, True), (10_000, False)):
            async with connected(gateway) as client:
                await client.push(frame(b"", PING) * 3)
                assert (await closed(client))[0] == 4505
                await client.push(frame(b"", PING) * pings + frame(b"\x11\x99", CLOSE))
                async with asyncio.timeout(WITHIN):
                    assert await client.reader.read() == b""
            assert (await lost.get()) is ends


@asynccontextmanager
async def request(gateway: str, *pieces: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request in pieces."""
    reader, writer = await raw_open(gateway)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return the first line of the answer; nothing if there is none."""
    async with asyncio.timeout(WITHIN):
        try:
            return await reader.readline()
        except OSError:
            return b""


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def declared(length: int) -> bytes:
    """Return the head of a request with a body of so many bytes."""
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


async def test_a_body_that_does_not_end_is_waited_for_within_a_bound(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "BODY_WITHIN", 0.2)
    async with request(gateway, declared(10), b"12345") as (reader, _), asyncio.timeout(WITHIN):
        assert await answer(reader) == b"HTTP/1.1 408 Request Timeout\r\n"
        assert await app.bodies.get() is None
        await reader.read()  # it is closed


async def test_a_body_that_is_there_is_waited_for_no_more(app: App, gateway: str) -> None:
    async with request(gateway, declared(4), b"12") as (reader, writer), asyncio.timeout(WITHIN):
        await app.asked.wait()
        assert app.listener is not None
        writer.write(b"34")
        assert await answer(reader) == OK
        assert await app.bodies.get() == b"1234"
        assert app.listener._deadline is None


@pytest.mark.parametrize(("pieces", "whole"), [(PIECES - 10, True), (PIECES + 10, False)])
async def test_a_body_comes_in_so_many_pieces(app: App, gateway: str, pieces: int, whole: bool) -> None:
    async with request(gateway, CHUNKED, b"1\r\nx\r\n" * pieces + b"0\r\n\r\n"), asyncio.timeout(WITHIN):
        assert await app.bodies.get() == (b"x" * pieces if whole else None)


async def test_of_too_many_headers_one_more_than_the_bound_is_kept(gateway: str) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 2_000 + b"\r\n"
    async with request(gateway, head) as (reader, _), asyncio.timeout(WITHIN):
        assert await answer(reader) == OK
        assert await reader.readuntil(b"\r\n\r\n")
        assert int(await reader.readexactly(3)) == HEADERS + 1


async def test_who_connects_and_says_nothing_makes_room_for_others(
    gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SILENT", 20)
    async with AsyncExitStack() as exits:
        silent = [await exits.enter_async_context(request(gateway)) for _ in range(30)]
        for reader, _ in silent[:10]:
            assert await answer(reader) == b""
        async with request(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as (reader, _):
            assert await answer(reader) == OK
