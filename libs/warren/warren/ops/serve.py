"""Runs a service without an API of its own: its work, and its health endpoints, in one event loop."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from fastapi import FastAPI

from warren.ops.health import Checks, health_router
from warren.ops.logs import configure_logs
from warren.ops.settings import ServiceSettings

log = logging.getLogger(__name__)

Work = Callable[[], AbstractAsyncContextManager[Checks]]
"""Starts the service's work, gives its readiness checks, and stops it on leaving."""


def health_app(work: Work) -> FastAPI:
    """Return an app that works for as long as it is served."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with work() as checks:
            app.include_router(health_router(checks))
            yield

    return FastAPI(lifespan=lifespan, openapi_url=None)


def serve(name: str, settings: ServiceSettings, app: FastAPI, **options: object) -> None:
    """Serve `app` with uvicorn on uvloop until SIGTERM or SIGINT; `options` go to uvicorn.Config."""
    configure_logs(name, settings.replica, settings.log_level)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        **options,  # type: ignore[arg-type]
    )
    log.info("starting", extra={"host": settings.host, "port": settings.port})
    _Server(config).run()
    log.info("stopped")


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. What was accepted at the last moment becomes a connection first, so that it is told like the others."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


@asynccontextmanager
async def background(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    """Run tasks beside the caller; one that ends by itself is a bug and stops the process, for a fresh start.

    A supervised restart is safer than a service that says it is healthy while half of it is dead.
    """
    for task in tasks:
        task.add_done_callback(_stop_process_if_failed)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stop_process_if_failed(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    log.critical("a task ended", extra={"task": task.get_name()}, exc_info=task.exception())
    os.kill(os.getpid(), signal.SIGTERM)
