"""A place among an address's connections: for as long as the request, or as long as whoever was let in keeps it."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from warren.rates import Rate
from warren_gateway.connections.limits import AddressLimits
from warren_gateway.http.origins import RefusedOrigins
from warren_gateway.http.rate_limits import PLACE, Place, RateLimitMiddleware, RefusalDelay

PLENTY = Rate(1_000, 1_000)
ADDRESS = "127.0.0.1"


def limits() -> AddressLimits:
    return AddressLimits(requests=PLENTY, connects=PLENTY, failures=PLENTY, connections=1)


async def shake_hands(addresses: AddressLimits, app: Callable[[Place], None]) -> None:
    """Let a handshake through to an app that returns at once, as the route does with a connection handed over."""

    async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
        app(scope["extensions"][PLACE])

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is read or refused here")

    middleware = RateLimitMiddleware(let_in, addresses, None, ["*"], RefusedOrigins("*"), RefusalDelay())  # type: ignore[arg-type]
    scope = {"type": "websocket", "path": "/v1/ws", "headers": [], "client": (ADDRESS, 1), "extensions": {}}
    await middleware(scope, nothing, nothing)


async def test_a_place_that_nobody_keeps_is_given_back_with_the_request() -> None:
    addresses = limits()
    await shake_hands(addresses, lambda _: None)
    assert len(addresses.connections) == 0


async def test_a_place_that_is_kept_is_held_until_it_is_given_back() -> None:
    addresses, kept = limits(), []
    await shake_hands(addresses, lambda place: kept.append(place.keep()))
    assert addresses.connections.is_full(ADDRESS)
    kept[0]()
    assert len(addresses.connections) == 0


async def test_a_place_is_given_back_also_if_the_app_fails() -> None:
    addresses = limits()

    def fail(_: Place) -> None:
        raise RuntimeError("nobody foresaw this")

    with pytest.raises(RuntimeError):
        await shake_hands(addresses, fail)
    assert len(addresses.connections) == 0
