"""A process that stood still finds all its deadlines over; what has come meanwhile is read before one is acted upon."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
import uvicorn
import uvloop
import warren.ops.serve as serve_module
import warren_gateway.connections.protocol as protocol_module
import warren_gateway.context as context_module
import warren_gateway.http.listener as listener_module
from harness.in_process_gateway import served
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from warren.contract.codes import Close
from warren_gateway.config import Settings
from warren_gateway.context import AppContext
from warren_gateway.delivery.subscriber import Transport

KEPT = 1
"""Seconds for which a connection is kept (uvicorn takes whole ones), and that a head and a body may take."""
STILL = 1.2
"""Seconds for which the process stands still."""
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
OK = b"HTTP/1.1 200 OK"
LATE = b"HTTP/1.1 408 Request Timeout"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "HEAD_WITHIN", float(KEPT))
    monkeypatch.setattr(listener_module, "BODY_WITHIN", float(KEPT))
    monkeypatch.setattr(protocol_module, "HELLO_WITHIN", float(KEPT))
    monkeypatch.setattr(context_module, "TICK", 0.1)


class Client:
    """A connection in the loop of the gateway that it is to.

    `begun`: that a request on it has come, perhaps not all of its body.
    """

    def __init__(self, gateway: str, begun: asyncio.Event) -> None:
        self.begun = begun
        where = urlsplit(gateway)
        assert where.hostname is not None
        assert where.port is not None
        self.socket = socket.create_connection((where.hostname, where.port))
        self.socket.setblocking(False)

    async def answer(self) -> bytes:
        """Return the first line of the next answer; nothing if there is none."""
        try:
            said = await asyncio.get_running_loop().sock_recv(self.socket, 65_536)
        except OSError:
            return b""
        return said.partition(b"\r\n")[0]

    async def says_while_it_stands_still(self, said: bytes) -> None:
        """Say this, and stop the process at once for some time, in the middle of reading what others said.

        It goes on with its clock then, where one that was stopped from outside may do so, too.
        """
        loop, stood = asyncio.get_running_loop(), asyncio.Event()
        ours, theirs = socket.socketpair()

        def stand_still() -> None:
            loop.remove_reader(ours)
            self.socket.send(said)
            time.sleep(STILL)
            stood.set()

        with ours, theirs:
            loop.add_reader(ours, stand_still)
            theirs.send(b"x")
            await stood.wait()


async def on_uvloop(
    scenario: Callable[[Client], Awaitable[None]], make: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server
) -> None:
    """Run it on the loop that the services run on: asyncio's own has always read when it looks at the clock."""

    async def run() -> None:
        begun = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.set()
            try:
                body = await Request(scope, receive).body()
            except ClientDisconnect:
                return
            await PlainTextResponse(body)(scope, receive, send)

        async with asyncio.timeout(WITHIN), served(app, keep=KEPT, make=make) as gateway:
            client = Client(gateway, begun)
            with client.socket:
                await scenario(client)

    def in_a_loop_of_its_own() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    await asyncio.to_thread(in_a_loop_of_its_own)


async def test_a_request_on_a_kept_connection_is_answered() -> None:
    async def scenario(client: Client) -> None:
        client.socket.send(GET)
        assert await client.answer() == OK
        await client.says_while_it_stands_still(GET)
        assert await client.answer() == OK
        assert await client.answer() == b""  # now it is closed

    await on_uvloop(scenario)


async def test_what_completes_a_head_is_read() -> None:
    async def scenario(client: Client) -> None:
        client.socket.send(GET + GET[:-2])
        assert await client.answer() == OK  # so the other has begun
        await client.says_while_it_stands_still(GET[-2:])
        assert await client.answer() == OK

    await on_uvloop(scenario)


async def test_what_completes_a_body_is_read() -> None:
    async def scenario(client: Client) -> None:
        client.socket.send(POST + b"12")
        await client.begun.wait()
        await client.says_while_it_stands_still(b"34")
        assert await client.answer() == OK

    await on_uvloop(scenario)


async def test_a_head_that_is_not_completed_ends_as_ever() -> None:
    async def scenario(client: Client) -> None:
        client.socket.send(GET + GET[:-3])
        assert await client.answer() == OK
        await client.says_while_it_stands_still(GET[-3:-2])
        assert await client.answer() == b""

    await on_uvloop(scenario)


async def test_a_body_that_is_not_completed_ends_as_ever() -> None:
    async def scenario(client: Client) -> None:
        client.socket.send(POST + b"12")
        await client.begun.wait()
        await client.says_while_it_stands_still(b"3")
        assert await client.answer() == LATE
        assert await client.answer() == b""

    await on_uvloop(scenario)


async def test_a_process_that_is_about_to_end_answers_what_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "ASKED_WITHIN", 0.0)
    servers: list[uvicorn.Server] = []

    def make(config: uvicorn.Config) -> uvicorn.Server:
        servers.append(serve_module._Server(config, lambda: asyncio.sleep(0), None))
        return servers[0]

    async def scenario(client: Client) -> None:
        client.socket.send(GET)
        assert await client.answer() == OK
        servers[0].handle_exit(signal.SIGTERM, None)
        while servers[0].servers[0].is_serving():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(serve_module.SIGNAL_WITHIN)  # it waits by now for its connections to be let go
        await client.says_while_it_stands_still(GET)
        assert await client.answer() == OK

    await on_uvloop(scenario, make)


async def test_nobody_is_late_with_a_hello_until_it_would_have_been_read(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, transport = AppContext(Settings(secret=SecretStr("s" * 32))), Mock(spec=Transport)
    transport.name = "websocket"
    looks: asyncio.Queue[None] = asyncio.Queue()
    monkeypatch.setattr(gateway.command_client, "expire", lambda: looks.put_nowait(None))
    with gateway.serving(transport, "127.0.0.1"):
        ticking = asyncio.create_task(gateway.ticks())
        await looks.get()
        time.sleep(STILL)  # noqa: ASYNC251
        await looks.get()
        transport.end.assert_not_called()
        await looks.get()
        assert transport.end.call_args.args[0] == Close.NO_HELLO
        ticking.cancel()
