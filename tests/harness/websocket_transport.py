"""The transport by WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from harness.transport import FRAME_BYTES, Frame, TransportClosed


class WebSocketTransport:
    """A Line over a WebSocket; `socket` is for what is said below the frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, frame: Frame) -> None:
        """Send it."""
        try:
            await self.socket.send(json.dumps(frame))
        except ConnectionClosed as error:
            raise TransportClosed(self.socket.close_code, repr(error)) from error

    async def hear(self) -> Frame:
        """Receive one."""
        try:
            found = json.loads(await self.socket.recv())
        except ConnectionClosed as error:
            raise TransportClosed(self.socket.close_code, repr(error)) from error
        assert isinstance(found, dict)
        return found

    def drop(self) -> None:
        """Abort the connection."""
        self.socket.transport.abort()


@asynccontextmanager
async def open_websocket(gateway: str, **options: Any) -> AsyncIterator[WebSocketTransport]:
    """Connect, without a hello; `options` go to `websockets.connect`. Raises what that raises."""
    url = gateway.replace("http", "ws", 1) + "/v1/ws"
    # Without a bound on what waits to be read: at 16 frames the library stops reading, and closing takes it 10 s then.
    # A frame that is too large is closed with 1009, as by any client that has a bound.
    options = {"compression": None, "max_size": FRAME_BYTES, "max_queue": None, "ping_interval": None, **options}
    async with connect(url, **options) as socket:
        yield WebSocketTransport(socket)
