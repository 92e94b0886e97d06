"""Which requests are handshakes, whose they are, and what becomes of those that are not or are refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from harness.in_process_gateway import plenty, served
from harness.raw_clients import raw_open
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from warren.contract.codes import Close
from warren_gateway.connections.limits import AddressLimits
from warren_gateway.http.rate_limits import REFUSED, RateLimitMiddleware, RefusalDelay
from warren_gateway.transports import websocket
from warren_gateway.transports.websocket_protocol import Socket
from websockets.utils import accept_key

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = {
    "Host": "x", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}  # fmt: skip
GET = "GET /v1/ws HTTP/1.1"
OURS = "127.0.0.1"


def head(line: str = GET, more: str = "", **fields: str | None) -> bytes:
    """Return a handshake, in which some fields are others, or are not there."""
    said = {**FIELDS, **{name.replace("_", "-"): value for name, value in fields.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in said.items() if value is not None)]
    return "\r\n".join([*lines, *more.splitlines(), "", ""]).encode()


class App:
    """Answers requests with 200, and takes note of the sockets that it is given."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.addresses: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("refused" if REFUSED in scope["extensions"] else "request")(scope, receive, send)

    def serve(self, socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
        self.sockets.append(socket)
        self.addresses.append(address)
        socket.serve(self, ended, early)

    def receive(self, data: str | None) -> None:
        raise AssertionError("nothing is said here")


@asynccontextmanager
async def connected(gateway: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await raw_open(gateway)
    try:
        async with asyncio.timeout(WITHIN):
            yield reader, writer
    finally:
        writer.transport.abort()


async def answer(gateway: str, *pieces: bytes) -> list[bytes]:
    """Return the lines of the answer's head."""
    async with connected(gateway) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.001)
        return (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")


RIGHT = {
    "plain": head(),
    "in capitals": head(Upgrade="WebSocket", Connection="UPGRADE"),
    "with a list of connection options": head(Connection="keep-alive, Upgrade"),
    "with two fields of options": head(more="Connection: keep-alive"),
    "with a query": head("GET /v1/ws?anything HTTP/1.1"),
}
WRONG = {
    "another path": head("GET /v1/wss HTTP/1.1"),
    "another method": head("POST /v1/ws HTTP/1.1"),
    "an older HTTP": head("GET /v1/ws HTTP/1.0"),
    "another protocol": head(Upgrade="h2c"),
    "a choice of protocols": head(Upgrade="websocket, h2c"),
    "no option": head(Connection="keep-alive"),
    "an older version": head(Sec_WebSocket_Version="8"),
    "two versions": head(more="Sec-WebSocket-Version: 13"),
    "no version": head(Sec_WebSocket_Version=None),
    "no key": head(Sec_WebSocket_Key=None),
    "two keys": head(more=f"Sec-WebSocket-Key: {KEY}"),
    "a key that is too short": head(Sec_WebSocket_Key="AAAA"),
    "a key that is no Base64": head(Sec_WebSocket_Key="!GhlIHNhbXBsZSBub25jZQ=="),
    "a body": head(more="Content-Length: 0"),
    "a query that is too long": head(f"GET /v1/ws?{'x' * 3_000} HTTP/1.1"),
    "too many headers": head(more="a: b\n" * 100),
}


@pytest.mark.parametrize("request_head", RIGHT.values(), ids=RIGHT.keys())
async def test_a_handshake_is_answered_with_what_its_key_makes(request_head: bytes) -> None:
    app = App()
    async with served(app, app.serve) as gateway:
        lines = await answer(gateway, request_head)
    assert lines[0] == b"http/1.1 101 switching protocols"
    assert f"sec-websocket-accept: {accept_key(KEY)}".lower().encode() in lines
    assert {b"upgrade: websocket", b"connection: upgrade"} <= set(lines)
    assert not [line for line in lines if line.startswith(b"sec-websocket-protocol")]
    assert app.addresses == [OURS]


@pytest.mark.parametrize("request_head", WRONG.values(), ids=WRONG.keys())
async def test_what_is_no_handshake_is_a_request_like_any_other(request_head: bytes) -> None:
    app = App()
    async with served(app, app.serve) as gateway:
        assert (await answer(gateway, request_head))[0] == b"http/1.1 200 ok"
    assert not app.sockets


async def test_a_handshake_may_come_byte_by_byte() -> None:
    app = App()
    async with served(app, app.serve) as gateway:
        assert (await answer(gateway, *(bytes([byte]) for byte in head())))[0].startswith(b"http/1.1 101 ")


@pytest.mark.parametrize("offered", ["warren.v1", "other, warren.v1", "other"])
async def test_our_subprotocol_is_chosen_where_it_is_offered(offered: str) -> None:
    app = App()
    async with served(app, app.serve) as gateway:
        lines = await answer(gateway, head(Sec_WebSocket_Protocol=offered))
    assert (b"sec-websocket-protocol: warren.v1" in lines) is ("warren" in offered)


async def test_a_connection_on_which_a_request_was_answered_may_become_a_websocket() -> None:
    app = App()
    async with served(app, app.serve) as gateway, connected(gateway) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"request")
        writer.write(head())
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")


async def test_a_handshake_behind_a_request_that_is_not_answered_yet_is_a_request() -> None:
    """Else its answer would come first, and the request's among the frames."""
    app = App()
    async with served(app, app.serve) as gateway, connected(gateway) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + head())
        for _ in range(2):
            assert (await reader.readuntil(b"request")).startswith(b"HTTP/1.1 200 ")
    assert not app.sockets


@pytest.mark.parametrize(
    ("proxies", "whose"), [("", OURS), ("10.0.0.1", OURS), (OURS, "192.0.2.7"), ("127.0.0.0/8", "192.0.2.7")]
)
async def test_a_trusted_proxy_says_whose_connection_it_is(proxies: str, whose: str) -> None:
    app = App()
    async with served(app, app.serve, proxies=proxies) as gateway:
        await answer(gateway, head(X_Forwarded_For="203.0.113.1, 192.0.2.7"))
    assert app.addresses == [whose]


async def refused_by(middleware: RateLimitMiddleware, app: App, addresses: AddressLimits) -> bytes:
    async with served(middleware, app.serve, addresses=addresses) as gateway:
        async with connected(gateway) as (reader, writer):
            writer.write(head())
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
            assert addresses.connections.is_full(OURS)
            refused = (await answer(gateway, head()))[0]
        while len(addresses.connections):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert (await answer(gateway, head()))[0].startswith(b"http/1.1 101 ")
    return refused


async def test_who_has_too_many_connections_is_refused_until_one_of_them_ends() -> None:
    app, addresses = App(), plenty(connections=1)
    middleware = RateLimitMiddleware(app, addresses, None, RefusalDelay())  # type: ignore[arg-type]
    async with asyncio.timeout(WITHIN):
        assert (await refused_by(middleware, app, addresses)).startswith(b"http/1.1 429 ")


async def test_who_cannot_be_served_is_told_and_has_no_place() -> None:
    class Broken:
        def open(self, *_: object, **__: object) -> None:
            raise RuntimeError("nobody foresaw this")

    addresses = plenty()
    serve = websocket.serving(Broken())  # type: ignore[arg-type]
    async with served(App(), serve, addresses=addresses) as gateway, connected(gateway) as (reader, writer):
        writer.write(head())
        await reader.readuntil(b"\r\n\r\n")
        assert (await reader.readexactly(4))[2:] == int(Close.FAILED).to_bytes(2)
    assert len(addresses.connections) == 0
