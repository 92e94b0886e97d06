"""The WebSocket's handshake: uvicorn's protocol below ASGI, up to the answer; then a socket takes over."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.transports.websocket_protocol import Socket

EXTENSION = "warren.handshake"
"""Where the ASGI scope carries the handshake, under `extensions`."""
EARLY_BYTES = 64 * 1024
"""What a client may send before its handshake is answered: a hello, and joins of as many rooms as there may be."""


class _HandedOver(asyncio.Transport):
    """What uvicorn has in place of the transport that is a socket's now."""

    def is_closing(self) -> bool:
        """Nothing can be written here."""
        return True

    def close(self) -> None:
        """Uvicorn closes what the application has returned from, which the socket lives on from."""


class Handshake(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol as far as the handshake goes, with the application's routes, middleware and limits.

    The application accepts, has the connection handed over, and returns: neither a task nor a request's state stays
    with a connection, and no frame goes through a queue.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        self._early = bytearray()

    def data_received(self, data: bytes) -> None:
        """Take the request; what comes after it is for the socket, within a bound."""
        if not self.handshake_initiated:
            super().data_received(data)
        elif not self.transport.is_closing():
            self._early += data
            if len(self._early) > EARLY_BYTES:
                self.transport.abort()

    def handle_connect(self, event: Any) -> None:
        """Make the handshake known to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    async def send(self, message: Any) -> None:
        """Send what the application says; a handshake that it has answered with a refusal is complete."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # else uvicorn logs an error for each, as if there had been no answer

    def hand_over(self, coalescer: WriteCoalescer) -> tuple[Socket, bytes] | None:
        """Return the socket that the connection is from now on, and what has come for it already; None if it is gone.

        To be called by the application when it has accepted.
        """
        if self.disconnected or self.close_sent or not self.handshake_complete or self.transport.is_closing():
            return None
        socket = Socket(self.transport, coalescer, self.conn.max_message_size or 0, self.connections)
        self.connections.discard(self)
        self.transport.set_protocol(socket)
        self.transport = _HandedOver()
        return socket, bytes(self._early)
