"""Runs a service: uvicorn, what works beside it in its event loop, and how both end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from warren.ops.garbage_collection import tune_garbage_collection
from warren.ops.health import Checks, health_router
from warren.ops.lag import LagProbe
from warren.ops.logs import configure_logs
from warren.ops.settings import ServiceSettings
from warren.ops.tracing import configure_tracing

log = logging.getLogger(__name__)

Wait = Callable[[], Awaitable[None]]
LOOK_EVERY = 1.0
"""Seconds between looks at the time, for the date in answers; a signal is noticed at once."""
SIGNAL_WITHIN = 0.2
"""Seconds after which a second signal is noticed."""
KEEP_ALIVE = 10
"""Seconds for which a connection may be idle: more than twice what proxies keep it for, so that one that gets no
processor for a while does not send a request on a connection that is just being closed."""
LET_GO_WITHIN = 5.0
"""Seconds in which proxies let go of what is idle, as nginx does here after four."""
ASKED_WITHIN = 0.5
"""Seconds from a connection to its request: a proxy connects when it has one."""
Work = Callable[[], AbstractAsyncContextManager[Checks]]
"""Starts the service's work, gives its readiness checks, and stops it on leaving."""


def health_app(work: Work) -> FastAPI:
    """Return an app that works for as long as it is served."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with work() as checks:
            app.include_router(health_router(checks))
            tune_garbage_collection()
            yield

    return FastAPI(lifespan=lifespan, openapi_url=None)


def serve(
    name: str,
    settings: ServiceSettings,
    app: FastAPI,
    drain: Wait | None = None,
    gone: Wait | None = None,
    **options: object,
) -> None:
    """Serve `app` with uvicorn on uvloop until SIGTERM or SIGINT; `options` go to uvicorn.Config.

    `drain` is what comes before the end; all goes on being served meanwhile. A second signal cuts it short. `gone`
    waits, within a bound, until those who came in the meantime have gone, too: nobody else comes by then.
    """
    configure_logs(name, settings.replica, settings.log_level)
    configure_tracing(name, settings.replica)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        timeout_keep_alive=KEEP_ALIVE,
        **options,  # type: ignore[arg-type]
    )
    log.info("starting", extra={"host": settings.host, "port": settings.port})
    _Server(config, drain, gone).run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: Wait | None, gone: Wait | None) -> None:
        super().__init__(config)
        self._drain = drain
        self._gone = gone
        self._signals = 0
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lag = LagProbe()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and measure from then on how long the event loop keeps people waiting."""
        await super().startup(sockets)
        self._lag.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        self._signals += 1
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Serve until told to stop.

        Uvicorn looks ten times a second whether it was, which is much of what a process with nothing to do does.
        """
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop. What was accepted at the last moment becomes a connection first, to be told like others."""
        began = asyncio.get_running_loop().time()
        if self._drain is not None:
            draining = asyncio.ensure_future(self._drain())
            while not draining.done() and self._signals < 2:
                await asyncio.wait({draining}, timeout=SIGNAL_WITHIN)
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining
        await self._close_listeners()
        if self.server_state.connections:
            # Whoever has just connected is yet to ask; uvicorn is about to close what is idle, and a proxy answers 502.
            await asyncio.sleep(ASKED_WITHIN)
        if self._gone is not None:
            await self._gone()
        if self._drain is not None:
            await self._until_let_go(began + LET_GO_WITHIN)
        await asyncio.sleep(0)  # what has come while the process stood still, as it may have till now, is read first
        await super().shutdown(sockets)
        self._lag.stop()
        log.info("stopped")  # here, since uvicorn ends the process by the signal that it was told to end by

    async def _until_let_go(self, end: float) -> None:
        """Wait for proxies to let go of connections that were idle when this began, which they do before we would.

        A request on one that is closed at that moment is lost; answered, it says that it was the last.
        """
        loop = asyncio.get_running_loop()
        while self.server_state.connections and self._signals < 2 and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(SIGNAL_WITHIN)

    async def _close_listeners(self) -> None:
        """Accept whom the kernel has answered already: it resets their connections as the listener goes."""
        listeners = [listener for server in self.servers for listener in server.sockets]
        for _ in range(self.config.backlog):
            if not any(map(_waiting, listeners)):
                break
            await asyncio.sleep(0)  # libuv accepts one each time
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)


def _waiting(listener: socket.socket) -> int:
    """Return how many connections are established but not accepted yet; 0 where the system does not tell (not Linux).

    That is tcpi_unacked in struct tcp_info of linux/tcp.h, if the socket listens.
    """
    if sys.platform != "linux":
        return 0
    (waiting,) = struct.unpack("24xI", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28))
    return int(waiting)


@asynccontextmanager
async def background(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """Run tasks beside the caller; one that ends by itself is a bug and stops the process, for a fresh start.

    A supervised restart is safer than a service that says it is healthy while half of it is dead.
    """
    stopping = asyncio.Event()

    def ended(task: asyncio.Task[None]) -> None:
        if not stopping.is_set():
            _stop_process(task)

    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stop_process(task: asyncio.Task[None]) -> None:
    """End the process because of a task that has ended, also if that was cancelled: nobody here has asked for it."""
    error = None if task.cancelled() else task.exception()
    log.critical("a task ended", extra={"task": task.get_name(), "cancelled": task.cancelled()}, exc_info=error)
    for _ in range(2):  # the second cuts the drain short: clients are better off elsewhere
        os.kill(os.getpid(), signal.SIGTERM)
