"""The WebSocket's handshake: the head of a request comes in, and the answer goes out and a socket takes over.

The listener asks here before there is an ASGI request: routing, middleware and tasks are for those that are none of
this, and most of what a connection cost went into them.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from warren.contract.frames import FRAME_LIMIT, SUBPROTOCOL

from warren_gateway.connections.limits import address_of
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.http.listener import HEADERS, TakeOver
from warren_gateway.http.middleware import QUERY_LIMIT
from warren_gateway.http.rate_limits import REFUSED, HandshakeLimits
from warren_gateway.transports.websocket_protocol import Socket

PATH = b"/v1/ws"
_VERSION = b"13"
_KEY_BYTES = 16
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-accept: %b\r\n%b\r\n"
)
_CHOSEN = b"sec-websocket-protocol: %b\r\n" % SUBPROTOCOL.encode()


class ServeSocket(Protocol):
    """What takes a socket whose handshake is answered."""

    def __call__(self, socket: Socket, address: str, ended: Callable[[], None], early: bytes) -> None:
        """Serve it, beginning with what came early; call `ended` once, when nothing more comes. Never raises."""


class Handshakes:
    """Takes over connections with a handshake that is right and within the limits.

    One that is not right is a request like any other. One that is refused is, too: the middleware answers it.
    `trusted_proxies`: who may say whose connection it is.
    """

    def __init__(
        self, limits: HandshakeLimits, coalescer: WriteCoalescer, serve: ServeSocket, trusted_proxies: str = ""
    ) -> None:
        self._limits = limits
        self._coalescer = coalescer
        self._serve = serve
        self._forwarded = ProxyHeadersMiddleware(_nothing, trusted_proxies) if trusted_proxies else None

    def __call__(self, scope: Scope) -> TakeOver | None:
        """Return what answers a handshake and has the connection served; its address has one place less from now on."""
        fields = _fields(scope)
        if not _is_handshake(scope, fields):
            return None
        address = self._address(scope)
        refused = self._limits.enter(address, fields.get(b"origin"))
        if refused is not None:
            scope["extensions"][REFUSED] = refused
            return None

        def take_over(transport: asyncio.Transport, protocols: set[Any], early: bytes) -> None:
            transport.write(_answer(fields))
            socket = Socket(transport, self._coalescer, FRAME_LIMIT, protocols)
            transport.set_protocol(socket)
            self._serve(socket, address, partial(self._limits.leave, address), early)

        return take_over

    def _address(self, scope: Scope) -> str:
        if self._forwarded is not None:
            with contextlib.suppress(StopIteration):  # it waits for nothing
                self._forwarded(scope, _nothing, _nothing).send(None)  # type: ignore[arg-type]
        return address_of(scope)


async def _nothing(*_: Any) -> None:
    """The application, as far as uvicorn's middleware is concerned."""


def _fields(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name; of one that is there several times the values in a list, as RFC 9110 has it (5.3)."""
    fields: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        fields[name] = b"%b, %b" % (fields[name], value) if name in fields else value
    return fields


def _is_handshake(scope: Scope, fields: Mapping[bytes, bytes]) -> bool:
    """Whether a GET over HTTP/1.1 is the handshake of RFC 6455 (4.2.1), and no longer than a request may be here."""
    path, _, query = scope["raw_path"].partition(b"?")
    return (
        path == PATH
        and len(query) <= QUERY_LIMIT
        and len(scope["headers"]) <= HEADERS
        and fields.get(b"upgrade", b"").lower() == b"websocket"
        and b"upgrade" in _listed(fields.get(b"connection", b"").lower())
        and fields.get(b"sec-websocket-version") == _VERSION
        and _is_key(fields.get(b"sec-websocket-key", b""))
        and fields.keys().isdisjoint(_BODY)
    )


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _listed(value: bytes) -> list[bytes]:
    return [item.strip() for item in value.split(b",")]


def _answer(fields: Mapping[bytes, bytes]) -> bytes:
    digest = hashlib.sha1(fields[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest()
    offered = SUBPROTOCOL.encode() in _listed(fields.get(b"sec-websocket-protocol", b""))
    return _ANSWER % (base64.b64encode(digest), _CHOSEN if offered else b"")
