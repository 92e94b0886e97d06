"""The wiring of the service: what is made of what, started and stopped in which order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractConnection
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from warren.broker.link import Link
from warren.contract.frames import FRAME_LIMIT
from warren.ops.health import health_router
from warren.ops.serve import background

from warren_gateway import http, problems, ws
from warren_gateway.config import Settings
from warren_gateway.state import Gateway


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's app; it connects to the broker when it starts."""
    gateway = Gateway(settings)
    links = _links(gateway)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(link.run(), name=link.name) for link in links]
        tasks.append(asyncio.create_task(gateway.ticks(), name="ticks"))
        tasks.append(asyncio.create_task(gateway.hub.compare_heads(settings.heads_seconds), name="heads"))
        async with background(*tasks):
            yield

    app = FastAPI(
        title="Warren",
        version="1",
        description="Chat on a message broker.",
        lifespan=lifespan,
        max_body_size=FRAME_LIMIT,
    )
    app.state.gateway = gateway
    app.include_router(health_router({"broker": lambda: all(link.up for link in links)}))
    app.include_router(http.router)
    app.include_router(ws.router)
    problems.install(app)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins.split(","),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
    )
    return app


def _links(gateway: Gateway) -> list[Link]:
    url, replica = gateway.settings.amqp_url, gateway.settings.replica

    async def publishing(connection: AbstractConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(gateway.confirmed.serve(connection))
            group.create_task(gateway.unconfirmed.serve(connection))

    # Publishing has a connection of its own: a broker that throttles publishers must not stop events and answers.
    return [
        Link(url, f"gateway/{replica}/publish", publishing),
        Link(url, f"gateway/{replica}/answers", gateway.mailbox.serve),
        Link(url, f"gateway/{replica}/events", gateway.hub.feed.serve),
    ]
