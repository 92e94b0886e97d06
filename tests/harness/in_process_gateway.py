"""A gateway's two protocols in the test's own process and loop, where their bounds can be small."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp
from warren.rates import Rate
from warren_gateway.connections.limits import AddressLimits
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.http.listener import Listener
from warren_gateway.http.origins import RefusedOrigins
from warren_gateway.http.rate_limits import HandshakeLimits
from warren_gateway.transports.websocket_handshake import Handshakes, ServeSocket
from warren_gateway.transports.websocket_protocol import Socket

WITHIN = 30.0
"""Seconds to start; a bound, not an expectation."""
PLENTY = Rate(1_000, 1_000)


def plenty(connections: int = 1_000) -> AddressLimits:
    """Return limits of addresses that nobody reaches, but for that of connections."""
    return AddressLimits(requests=PLENTY, connects=PLENTY, failures=PLENTY, connections=connections)


def serve_nobody(socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
    """Serve no socket: there are to be none."""
    raise AssertionError("a WebSocket, where there is to be none")


@asynccontextmanager
async def served(
    app: ASGIApp, serve: ServeSocket = serve_nobody, *, addresses: AddressLimits | None = None, proxies: str = "",
    keep: int = 5, make: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server,
) -> AsyncIterator[str]:  # fmt: skip
    """Serve an app and sockets as a gateway serves its own; yields its URL. `keep`: seconds for an idle connection.

    `proxies`: addresses that are trusted to say who connects.
    """
    limits = HandshakeLimits(addresses or plenty(), ["*"], RefusedOrigins("*"))
    upgrades = Handshakes(limits, WriteCoalescer(), serve, proxies)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off", ws="none",
        http=partial(Listener, upgrades=upgrades),  # type: ignore[arg-type]  # which calls what it is given
        timeout_graceful_shutdown=1, timeout_keep_alive=keep,
    )  # fmt: skip
    server = make(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(WITHIN):
            while not server.started:  # noqa: ASYNC110  it has no event for that
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
