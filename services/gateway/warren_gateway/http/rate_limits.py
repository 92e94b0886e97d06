"""Refuses before routing, where it costs least: addresses that ask too much, and pages that may not connect.

Requests pass the middleware; handshakes are asked about by the listener, before there is an ASGI request. The answers
are made beforehand. The limits of people and connections come later, where somebody is known.
"""

import asyncio
import json
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from warren.contract.codes import Code
from warren.rates import seconds

from warren_gateway import metrics
from warren_gateway.auth.authenticator import Authenticator
from warren_gateway.connections.limits import AddressLimits, address_of
from warren_gateway.http.errors import problem
from warren_gateway.http.origins import RefusedOrigins

EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by the operator's own machines, and asked most when there is trouble."""
LONG_LIVED_PATHS = frozenset({"/v1/sse", "/v1/poll"})
"""Requests that stay, and count as connections."""


DELAY = 1.0
"""Seconds for which a refusal is held back. A client that asks again at once costs as much as its connections then, and
not as much as it can send: 10,000 refusals a second would be most of a processor."""
DELAYED = 500
"""Refusals held back at once, some 10 MB; beyond that they are answered at once."""


class Refusal:
    """An answer that is always the same but for `Retry-After`."""

    def __init__(self, reason: str, status: int, code: Code, detail: str) -> None:
        self.reason = reason
        self._status = status
        self._body = json.dumps(problem(status, code, detail).model_dump()).encode()
        self._headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self._body)).encode()),
        ]

    async def __call__(self, send: Send, wait: float | None = None) -> None:
        """Answer a request."""
        retry = [] if wait is None else [(b"retry-after", str(seconds(wait)).encode())]
        start: Message = {
            "type": "http.response.start", "status": self._status, "headers": [*self._headers, *retry]
        }  # fmt: skip
        await send(start)
        await send({"type": "http.response.body", "body": self._body})


REQUESTS = Refusal("requests", 429, Code.TOO_MANY, "too many requests from this address")
CONNECTS = Refusal("connects", 429, Code.TOO_MANY, "too many new connections from this address")
CONNECTIONS = Refusal("connections", 429, Code.TOO_MANY, "too many open connections from this address")
FAILURES = Refusal("failures", 429, Code.TOO_MANY, "too many bad tokens came from this address")
ORIGIN = Refusal("origin", 403, Code.FORBIDDEN, "pages of this origin may not connect here")
OVER_LIMIT_WAIT = 30.0
"""Seconds after which an address with too many open connections may try again."""


Refused = tuple[Refusal, float | None]
"""Why something is refused, and the seconds after which it may be tried again, if that helps."""
REFUSED = "warren.refused"
"""Where the ASGI scope of a handshake that is refused carries this, under `extensions`."""


class HandshakeLimits:
    """Lets WebSockets through, within the limits of their address, if their pages may connect."""

    def __init__(self, addresses: AddressLimits, origins: Collection[str], refused_origins: RefusedOrigins) -> None:
        self._limits = addresses
        self._origins = None if "*" in origins else frozenset(origin.encode() for origin in origins)
        self._refused_origins = refused_origins

    def enter(self, address: str, origin: bytes | None) -> Refused | None:
        """Take a place among the address's connections, or return why there is none.

        `origin`: None from what is not a browser.
        """
        if wait := self._limits.connects.take(address, time.monotonic()):
            return CONNECTS, wait
        if origin is not None and self._origins is not None and origin not in self._origins:
            self._refused_origins.refused(origin.decode("latin-1"))
            return ORIGIN, None
        if not self._limits.connections.enter(address):
            return CONNECTIONS, OVER_LIMIT_WAIT
        return None

    def leave(self, address: str) -> None:
        """Give the place back."""
        self._limits.connections.leave(address)


class RefusalDelay:
    """Refuses, and holds each refusal back for a moment."""

    def __init__(self) -> None:
        self._delayed = 0

    async def __call__(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send, wait: float) -> None:
        """Refuse this. `wait`: the seconds after which it may be tried again."""
        metrics.REFUSED.labels(refusal.reason).inc()  # also those who will not wait for their answer
        if self._delayed >= DELAYED or await self._is_awaited(receive):
            await refusal(send, wait)

    async def _is_awaited(self, receive: Receive) -> bool:
        """Hold the answer back; False if nobody waits for it any more."""
        self._delayed += 1
        try:
            async with asyncio.timeout(DELAY):
                while not (await receive())["type"].endswith(".disconnect"):
                    pass
        except TimeoutError:
            return True
        finally:
            self._delayed -= 1
        return False


class Preflights:
    """Lets through what browsers ask before a page may ask anything, within the limits of their address.

    They are answered before the rate limits see them, whose refusals a page may read.
    """

    def __init__(self, app: ASGIApp, addresses: AddressLimits, refuse: RefusalDelay) -> None:
        self._app = app
        self._limits = addresses
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and is_preflight(scope):
            wait = self._limits.requests.take(address_of(scope), time.monotonic())
            if wait:
                await self._refuse(REQUESTS, scope, receive, send, wait)
                return
        await self._app(scope, receive, send)


class RateLimitMiddleware:
    """Lets requests through to the app, within the limits of their address."""

    def __init__(self, app: ASGIApp, addresses: AddressLimits, auth: Authenticator, refuse: RefusalDelay) -> None:
        self._app = app
        self._limits = addresses
        self._auth = auth
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self._app(scope, receive, send)
        elif (refused := scope.get("extensions", {}).get(REFUSED)) is not None:
            await self._refuse_handshake(refused, scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, now = address_of(scope), time.monotonic()
        wait = self._limits.requests.take(address, now)
        if wait:
            await self._refuse(REQUESTS, scope, receive, send, wait)
            return
        wait = self._limits.failures.wait(address, now)
        if wait and self._unknown(_header(scope, b"authorization")):
            await self._refuse(FAILURES, scope, receive, send, wait)
            return
        if scope["path"] in LONG_LIVED_PATHS:
            await self._connect(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a connection through, if its address has not too many already."""
        address = address_of(scope)
        if not self._limits.connections.enter(address):
            await self._refuse(CONNECTIONS, scope, receive, send, OVER_LIMIT_WAIT)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._limits.connections.leave(address)

    def _unknown(self, authorization: bytes | None) -> bool:
        """Whether there is a token, and none that is known to be good."""
        if authorization is None:
            return False
        return self._auth.known(authorization.decode("latin-1").partition(" ")[2].strip()) is None

    async def _refuse_handshake(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        refusal, wait = refused
        if wait is None:
            await refusal(send)
        else:
            await self._refuse(refusal, scope, receive, send, wait)


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks if a page may ask something."""
    return scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method") is not None


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for found, value in scope["headers"] if found.lower() == name), None)
