"""A socket on a real connection: what goes out in one write, in which order, and what a token holds up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness.in_process_gateway import served
from harness.raw_clients import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawClient, frame, raw_connect, raw_open
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send
from warren.contract.codes import Close
from warren.contract.frames import Left
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.transports import websocket_messages, websocket_protocol
from warren_gateway.transports.websocket_protocol import LINGER_BYTES, Socket
from warren_gateway.transports.websocket_writer import GATHER_BYTES

PONG = 0xA
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class CountingTransport:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes: list[bytes] = []
        self.waiting = 0
        """What it says that the peer has not read, besides what it has not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting + self._transport.get_write_buffer_size()


class App:
    """Takes what comes in; `answers` says what a frame is answered with, `holds` what the next ones wait for."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []
        self.ended = 0
        self.over = asyncio.Event()
        self.served: asyncio.Queue[Socket] = asyncio.Queue()
        self.transport: CountingTransport | None = None
        self.answers: Callable[[str | None], None] = lambda _: None
        self.holds: Callable[[str | None], asyncio.Task[None] | None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("a request, where there is to be none")

    def serve(self, socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
        socket.transport = self.transport = CountingTransport(socket.transport)
        self.served.put_nowait(socket)
        socket.serve(self, self._end, early)

    def receive(self, data: str | None) -> "asyncio.Task[None] | None":
        self.heard.append(data)
        self.answers(data)
        return self.holds(data)

    def _end(self) -> None:
        self.ended += 1
        self.over.set()


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def gateway(app: App) -> AsyncIterator[str]:
    async with served(app, app.serve) as url:
        yield url


@asynccontextmanager
async def connected(app: App, gateway: str) -> AsyncIterator[tuple[RawClient, Socket, CountingTransport]]:
    client = await raw_connect(gateway)
    try:
        socket = await app.served.get()
        assert app.transport is not None
        async with asyncio.timeout(WITHIN):
            yield client, socket, app.transport
    finally:
        client.abort()


def text(body: bytes) -> Frame:
    return Frame("general", body, kind="events")


async def read_texts(client: RawClient, number: int) -> list[bytes]:
    return [(await client.read_frame())[1] for _ in range(number)]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what has no event."""
    async with asyncio.timeout(WITHIN):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def turn() -> None:
    """Let what is due in this turn of the loop be done."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_sent_in_one_turn_is_one_write_in_order(app: App, gateway: str) -> None:
    async with connected(app, gateway) as (client, socket, transport):
        socket.broadcast(text(b"1"))
        socket.send_frame(Left(room="general"))
        socket.broadcast(text(b"2"))
        assert transport.writes == []
        await turn()
        assert len(transport.writes) == 1
        socket.broadcast(text(b"3"))
        await turn()
        assert len(transport.writes) == 2
        assert await read_texts(client, 4) == [b"1", b'{"type":"left","room":"general"}', b"2", b"3"]


async def test_one_callback_writes_for_all_sockets(app: App, gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:
    coalescer, scheduled = WriteCoalescer(), 0
    loop = asyncio.get_running_loop()
    soon = loop.call_soon

    def count(*args: Any, **kwargs: Any) -> asyncio.Handle:
        nonlocal scheduled
        scheduled += args[0] == coalescer._flush
        return soon(*args, **kwargs)

    monkeypatch.setattr(loop, "call_soon", count)
    async with connected(app, gateway) as one, connected(app, gateway) as other:
        for _, socket, _ in (one, other):
            socket._coalescer = coalescer
            socket.broadcast(text(b"x"))
            socket.broadcast(text(b"y"))
        await turn()
        assert [len(transport.writes) for _, _, transport in (one, other)] == [1, 1]
        assert scheduled == 1


async def test_a_close_goes_behind_what_was_gathered_and_nothing_behind_it(app: App, gateway: str) -> None:
    async with connected(app, gateway) as (client, socket, transport):
        socket.broadcast(text(b"1"))
        socket.end(Close.GOING_AWAY, "going away")
        socket.broadcast(text(b"2"))
        await turn()
        assert len(transport.writes) == 1
        assert await client.read_frame() == (TEXT, b"1")
        assert await client.read_frame() == (CLOSE, b"\x0f\xa1going away")
        assert not await socket.drained()
        await client.push(frame(b"\x0f\xa1", CLOSE))
        assert await client.reader.read() == b""


async def test_nothing_is_lost_of_a_peer_that_closes_at_once(app: App, gateway: str) -> None:
    """What it had sent is taken, and what it was answered goes before the answer to its close."""
    async with connected(app, gateway) as (client, socket, _):
        app.answers = lambda said: socket.broadcast(text(f"{said}!".encode()))
        said = [f"{number}" for number in range(100)]
        await client.push(b"".join(frame(one.encode()) for one in said) + frame(b"\x03\xe8bye", CLOSE))
        assert await read_texts(client, 100) == [f"{one}!".encode() for one in said]
        assert await client.read_frame() == (CLOSE, b"\x03\xe8bye")
        assert await client.reader.read() == b""
        assert app.heard == said
        await app.over.wait()


async def test_what_was_gathered_for_a_peer_that_is_lost_goes_nowhere(app: App, gateway: str) -> None:
    async with connected(app, gateway) as (client, socket, transport):
        client.abort()
        await app.over.wait()
        socket.broadcast(text(b"x"))
        socket.end(Close.GOING_AWAY, "going away")
        assert not await socket.drained()
        await turn()
        assert transport.writes == []
    assert app.ended == 1


@pytest.mark.parametrize("how", ["end", "close", "lost", "broken"])
async def test_who_serves_it_is_told_of_the_end_once_and_not_at_once(app: App, gateway: str, how: str) -> None:
    async with connected(app, gateway) as (client, socket, _):
        match how:
            case "end":
                socket.end(Close.GOING_AWAY, "going away")
                socket.end(Close.FAILED, "and again")
            case "close":
                await client.push(frame(b"", CLOSE))
            case "lost":
                client.abort()
            case "broken":
                await client.push(b"\xff\xff")
        if how == "end":
            assert app.ended == 0
        await app.over.wait()
        client.abort()
        await until(lambda: socket not in socket._open_sockets)
    assert app.ended == 1


async def test_the_bound_is_judged_at_each_frame_also_within_a_turn(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Socket, "outbox_bytes", 3_000)
    async with connected(app, gateway) as (client, socket, transport):
        transport.waiting = 1_000
        socket.pause_writing()
        for number in range(3):
            socket.broadcast(text(b"%d" % number * 990))
        assert socket.gone
        assert [len(payload) for payload in await read_texts(client, 2)] == [990, 990]
        assert (await client.read_frame())[1][:2] == int(Close.SLOW_CONSUMER).to_bytes(2)


async def test_a_reader_who_stops_is_cut_at_the_bound_and_not_before(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is looked at when the loop has said that writing must pause, which must be before the bound."""
    monkeypatch.setattr(Socket, "outbox_bytes", 300_000)
    async with connected(app, gateway) as (client, socket, transport):
        client.stop_reading()
        waiting = 0
        while not socket.gone:
            waiting = transport.get_write_buffer_size()
            assert waiting <= Socket.outbox_bytes
            socket.broadcast(text(b"x" * 10_000))
            await turn()
        assert waiting > Socket.outbox_bytes - 20_000
        client.go_on_reading()
        assert await client.close_code() == Close.SLOW_CONSUMER


async def test_every_frame_counts_once_however_it_was_gathered(app: App, gateway: str) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("warren_frames_sent_total") or 0.0

    async with connected(app, gateway) as one, connected(app, gateway) as other:
        before = counted()
        for number in (1, 2, 3):
            for _, socket, _ in (one, other):
                socket.broadcast(text(b"x" * (GATHER_BYTES // 2) * number))
        await turn()
        assert counted() == before + 6


async def test_what_is_gathered_is_bounded(app: App, gateway: str) -> None:
    async with connected(app, gateway) as (client, socket, transport):
        for _ in range(5):
            socket.broadcast(text(b"x" * (GATHER_BYTES // 2)))
        assert len(transport.writes) == 2
        await turn()
        assert len(transport.writes) == 3
        assert [len(payload) for payload in await read_texts(client, 5)] == [GATHER_BYTES // 2] * 5


async def test_drained_is_when_what_was_gathered_is_on_its_way(app: App, gateway: str) -> None:
    async with connected(app, gateway) as (client, socket, transport):
        client.stop_reading()
        while socket._writable is None:
            socket.broadcast(text(b"x" * 60_000))
            await turn()
        socket.broadcast(text(b"last"))
        draining = asyncio.create_task(socket.drained())
        await turn()
        assert transport.writes[-1].endswith(b"last")
        assert not draining.done()
        client.go_on_reading()
        reading = asyncio.create_task(client.reader.read(-1))
        assert await draining
        reading.cancel()


async def test_what_comes_behind_a_token_waits_for_it_and_no_more_is_read(app: App, gateway: str) -> None:
    verified = asyncio.Event()

    async def verify() -> None:
        await verified.wait()

    app.holds = lambda said: asyncio.create_task(verify()) if said == "token" else None
    async with connected(app, gateway) as (client, _, transport):
        await client.push(frame(b"token") + frame(b"1"))
        flooding = asyncio.create_task(client.push(frame(b"x" * 1_000) * 20_000))
        await until(lambda: not transport.is_reading())
        assert app.heard == ["token"]
        verified.set()
        await until(lambda: len(app.heard) == 20_002)
        assert app.heard[:3] == ["token", "1", "x" * 1_000]
        assert await flooding


async def test_what_comes_behind_the_handshake_in_one_piece_is_taken_first(app: App, gateway: str) -> None:
    reader, writer = await raw_open(gateway)
    writer.write(HANDSHAKE + frame(b"hello") + frame(b"join")[:3])
    await app.served.get()
    writer.write(frame(b"join")[3:])
    await until(lambda: len(app.heard) == 2)
    assert app.heard == ["hello", "join"]
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.transport.abort()


async def test_a_message_in_pieces_is_one_and_of_one_kind(app: App, gateway: str) -> None:
    euro = "€".encode()
    async with connected(app, gateway) as (client, _, _):
        pieces = frame(euro[:1], fin=False) + frame(b"", PING) + frame(euro[1:], CONTINUATION)
        await client.push(pieces + frame(b"\0", BINARY, fin=False) + frame(b"", CONTINUATION) + frame(b"z"))
        assert await client.read_frame() == (PONG, b"")
        await until(lambda: len(app.heard) == 3)
        assert app.heard == ["€", None, "z"]


async def test_so_many_pieces_are_too_many(app: App, gateway: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_messages, "FRAGMENTS", 10)
    async with connected(app, gateway) as (client, _, _):
        await client.push(frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 9 + frame(b"", CONTINUATION))
        await client.push(frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 10)
        assert (await client.read_frame())[1][:2] == int(Close.BAD_FRAME).to_bytes(2)
        assert app.heard == [""]


async def test_what_comes_behind_a_token_that_nobody_verified_is_not_taken(app: App, gateway: str) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    app.holds = lambda said: asyncio.create_task(cancelled()) if said == "token" else None
    async with connected(app, gateway) as (client, _, _):
        await client.push(frame(b"token") + frame(b"1"))
        assert await client.close_code() == Close.FAILED
        assert app.heard == ["token"]


async def test_who_is_still_sending_hears_why_it_ends(app: App, gateway: str) -> None:
    """A connection that is closed with something unread is reset, and the peer's writing fails before it reads."""
    async with connected(app, gateway) as (client, _, _):
        assert await client.push(frame(b"x" * (LINGER_BYTES // 2)))
        assert await client.close_code() == 1009
        assert await client.reader.read() == b""


async def test_who_sends_on_for_ever_after_the_end_is_cut(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_protocol, "CLOSE_GRACE", 1_000.0)
    async with connected(app, gateway) as (client, _, _):
        while await client.push(frame(b"", PING) * 1_000):
            pass


async def test_a_peer_that_ends_without_reading_is_let_go(
    app: App, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits in its buffer holds a transport open that is closing, for as long as the peer is there."""
    monkeypatch.setattr(websocket_protocol, "CLOSE_GRACE", 0.1)
    async with connected(app, gateway) as (client, socket, _):
        client.stop_reading()
        while socket._writable is None:
            socket.broadcast(text(b"x" * 60_000))
            await turn()
        client.writer.write_eof()
        await app.over.wait()
        await until(lambda: socket not in socket._open_sockets)


async def test_a_transport_that_fails_costs_its_own_connection_alone(app: App, gateway: str) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError("nobody foresaw this")

    coalescer = WriteCoalescer()
    async with connected(app, gateway) as one, connected(app, gateway) as other:
        for _, socket, _ in (one, other):
            socket._coalescer = coalescer
            socket.broadcast(text(b"x"))
        one[2].write = fail  # type: ignore[assignment, method-assign]
        assert await other[0].read_frame() == (TEXT, b"x")
        assert await one[0].close_code() is None
