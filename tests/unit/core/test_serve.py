"""The server that services run: it ends when it is told to, and not when it looks next."""

import asyncio
import signal

import pytest
import uvicorn
import warren.ops.serve as serve_module
from harness.in_process_gateway import served
from starlette.types import Receive, Scope, Send

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("nobody asks here")


async def test_a_signal_is_noticed_though_the_server_hardly_ever_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "LOOK_EVERY", 10_000.0)
    ended = asyncio.Event()

    class Server(serve_module._Server):
        async def shutdown(self, sockets: object = None) -> None:
            ended.set()
            await super().shutdown()

    servers: list[Server] = []

    def make(config: uvicorn.Config) -> uvicorn.Server:
        servers.append(Server(config, None, None))
        return servers[0]

    async with asyncio.timeout(WITHIN), served(nothing, make=make):
        await asyncio.sleep(0.1)  # it waits by now for a signal
        assert not ended.is_set()
        servers[0].handle_exit(signal.SIGTERM, None)
        await ended.wait()
