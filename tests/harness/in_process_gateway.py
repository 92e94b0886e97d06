"""A gateway's two protocols in the test's own process and loop, where their bounds can be small."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from warren.contract.frames import FRAME_LIMIT
from warren_gateway.http.listener import Listener
from warren_gateway.transports.websocket_handshake import Handshake

WITHIN = 30.0
"""Seconds to start; a bound, not an expectation."""


@asynccontextmanager
async def served(
    app: ASGIApp, *, keep: int = 5, make: Callable[[uvicorn.Config], uvicorn.Server] = uvicorn.Server
) -> AsyncIterator[str]:
    """Serve an app as a gateway serves its own; yields its URL. `keep`: seconds for an idle connection."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off", http=Listener, ws=Handshake,
        ws_max_size=FRAME_LIMIT, ws_per_message_deflate=False, ws_ping_interval=None, timeout_graceful_shutdown=1,
        timeout_keep_alive=keep,
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
