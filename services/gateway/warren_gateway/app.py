"""The wiring of the service: what is made of what, started and stopped in which order."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractConnection
from fastapi import FastAPI
from warren.broker.errors import until_lost
from warren.broker.nodes import Nodes
from warren.broker.supervised_connection import SupervisedConnection
from warren.contract.topology import PRESENCE, shard_key
from warren.ops.garbage_collection import tune_garbage_collection
from warren.ops.health import Checks, health_router
from warren.ops.serve import background

from warren_gateway.config import Settings
from warren_gateway.context import AppContext
from warren_gateway.health.condition import Rotation, works
from warren_gateway.health.peers import Peers
from warren_gateway.http import errors as problems
from warren_gateway.http.bodies import body_limit
from warren_gateway.http.middleware import QUERY_FIELDS, BodyLimit, CloseOnDrain, HeadLimit, SecurityHeaders
from warren_gateway.http.origins import Cors, RefusedOrigins
from warren_gateway.http.rate_limits import HandshakeLimits, Preflights, RateLimitMiddleware, RefusalDelay
from warren_gateway.rooms.default_room import default_room
from warren_gateway.routes import direct_rooms as direct
from warren_gateway.routes import messages as http
from warren_gateway.routes import people, rooms
from warren_gateway.routes import static as files
from warren_gateway.transports import polling as poll
from warren_gateway.transports import sse
from warren_gateway.transports import websocket as ws
from warren_gateway.transports.websocket_handshake import Handshakes

log = logging.getLogger(__name__)

UNTRACED = frozenset({"/v1/sse", "/v1/poll", "/healthz", "/readyz", "/metrics"})
START_WITHIN = 5.0
"""Seconds until it listens though something is missing, for `/readyz` to say what."""
CHECK_EVERY = 0.05
"""Seconds."""


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's app; it connects to the broker when it starts."""
    gateway = AppContext(settings)
    connections = _connections(gateway)
    checks = _checks(gateway, connections)
    peers = _peers(settings, checks)
    rotation = Rotation(lambda: None if peers is None else peers.excused)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(supervised.run(), name=supervised.name) for supervised in connections]
        if gateway.key_set is not None:
            tasks.append(asyncio.create_task(gateway.key_set.run(), name="keys"))
        if gateway.guests is not None:
            log.warning("WARREN_AUTH=guest: WHOEVER ASKS GETS A TOKEN. For trying out, not for production.")
        if peers is not None:
            tasks.append(asyncio.create_task(peers.run(), name="peers"))
        tasks.append(asyncio.create_task(gateway.ticks(), name="ticks"))
        tasks.append(asyncio.create_task(gateway.registry.compare_heads(settings.heads_seconds), name="heads"))
        tasks.append(asyncio.create_task(gateway.presence.run(), name="presence"))
        tasks.append(asyncio.create_task(gateway.sign_ins.run(), name="sign-ins"))
        _warm(app)
        tune_garbage_collection()
        room, title = settings.landing_room, settings.landing_title
        async with background(*tasks), default_room(gateway.command_client, room, title):
            await _until(checks)
            yield
            await gateway.presence.goodbye()

    app = FastAPI(
        title="Warren",
        version="1",
        description="Chat on a message broker.",
        lifespan=lifespan,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy the address to go to would be wrong, and a body be lost on the way
        telemetry={"metrics": False, "logs": False, "operation_spans": False, "exclude": _untraced},
    )
    app.state.gateway = gateway
    app.include_router(ws.router)  # first: routes are looked through in this order
    app.include_router(health_router(checks, rotation))
    app.include_router(http.router)
    app.include_router(http.no_guests if gateway.guests is None else http.guests)
    app.include_router(rooms.router)
    app.include_router(people.router)
    app.include_router(direct.router)
    app.include_router(sse.router)
    app.include_router(poll.router)
    app.include_router(files.router)
    problems.install(app)
    refused_origins = RefusedOrigins(settings.origins)
    _add_middleware(app, gateway, refused_origins)
    app.state.handshakes = _handshakes(gateway, refused_origins)
    return app


async def _until(checks: Checks) -> None:
    """Wait until it can serve, for a while: a proxy passes over who does not listen, but not over who is not ready."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_WITHIN):
            while not all(check() for check in checks.values()):  # noqa: ASYNC110  what they look at has no event
                await asyncio.sleep(CHECK_EVERY)


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request is no part of a trace: those that last, each of whose commands is one; and probes."""
    return scope["path"] in UNTRACED


def _warm(app: FastAPI) -> None:
    """Have all routes made.

    FastAPI makes those of a router when somebody asks for the first time, which would hold everybody up for a tenth of
    a second.
    """
    for route in app.routes:
        route.matches({"type": "websocket", "path": "/", "headers": []})


def _handshakes(gateway: AppContext, refused_origins: RefusedOrigins) -> Handshakes:
    limits = HandshakeLimits(gateway.addresses, gateway.settings.allowed_origins, refused_origins)
    return Handshakes(limits, gateway.coalescer, ws.serving(gateway), gateway.settings.trusted_proxies)


def _add_middleware(app: FastAPI, gateway: AppContext, refused_origins: RefusedOrigins) -> None:
    """Add what every request passes, innermost first. CORS is around the refusals, so that pages can read them."""
    origins = gateway.settings.allowed_origins
    app.add_middleware(BodyLimit, limit=body_limit)
    addresses, refuse = gateway.addresses, RefusalDelay()
    app.add_middleware(RateLimitMiddleware, addresses=addresses, auth=gateway.auth, refuse=refuse)
    app.add_middleware(Cors, origins=origins, refused_origins=refused_origins)
    app.add_middleware(Preflights, addresses=addresses, refuse=refuse)
    app.add_middleware(HeadLimit, fields=gateway.settings.rooms_per_connection + QUERY_FIELDS)
    app.add_middleware(SecurityHeaders, pages=["/docs"] if gateway.settings.docs else [])
    app.add_middleware(CloseOnDrain, leaving=lambda: gateway.draining)


def _checks(gateway: AppContext, connections: list[SupervisedConnection]) -> Checks:
    keys = gateway.key_set
    checks = {
        "broker": lambda: all(supervised.up for supervised in connections) and gateway.reply_queue.open,
        "storing": gateway.storing.hold,
        "reading": gateway.reading.hold,
        "serving": lambda: not gateway.draining,
    }
    return checks if keys is None else {**checks, "keys": lambda: keys.ready}


def _peers(settings: Settings, checks: Checks) -> Peers | None:
    if not settings.all_peers:
        return None
    return Peers(
        settings.all_peers, settings.port, lambda: not works({name: check() for name, check in checks.items()})
    )


def _connections(gateway: AppContext) -> list[SupervisedConnection]:
    nodes, replica = Nodes(gateway.settings.amqp_url), gateway.settings.replica

    async def publishing(connection: AbstractConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(until_lost(gateway.confirmed.serve(connection)))
            group.create_task(until_lost(gateway.unconfirmed.serve(connection)))

    # Publishing has a connection of its own: a broker that throttles publishers must not stop events and answers.
    return [
        SupervisedConnection(
            nodes, f"gateway/{replica}/publish", publishing, lambda shard: (PRESENCE, shard_key(shard))
        ),
        SupervisedConnection(nodes, f"gateway/{replica}/answers", gateway.reply_queue.serve),
        SupervisedConnection(nodes, f"gateway/{replica}/events", gateway.registry.events.serve),
        SupervisedConnection(nodes, f"gateway/{replica}/live", gateway.presence.serve),
    ]
