"""HTTP/1.1 over one connection that is kept, one request after the other: as little work as a load should be."""

import asyncio
from typing import cast
from urllib.parse import urlsplit


class Exchange(asyncio.Protocol):
    """A connection to a gateway, as the holder of a token."""

    def __init__(self, url: str, token: str) -> None:
        self._where = urlsplit(url)
        self._head = f"Host: {self._where.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._got = b""

    async def connect(self) -> None:
        """Open the connection."""
        host, port = self._where.hostname, self._where.port
        await asyncio.get_running_loop().create_connection(lambda: self, host or "", port or 80)

    def close(self) -> None:
        """Drop the connection; what waits for an answer is cancelled."""
        if self._transport is not None:
            self._transport.abort()

    async def post(self, path: str, body: bytes, *headers: str) -> bytes:
        """Send a JSON body and return that of the answer. Raises OSError, also if it is answered with an error.

        A connection that the gateway has closed, as it does when nothing was asked for 5 s, is opened again.
        """
        if self._transport is None or self._transport.is_closing():
            await self.connect()
        further = "".join(f"{header}\r\n" for header in headers)
        head = f"POST {path} HTTP/1.1\r\n{self._head}{further}Content-Type: application/json\r\n"
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait any longer."""
        self._transport, self._got = None, b""
        if self._answer is not None:
            self._answer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read what the gateway answers: a head and a body of known length."""
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._got = b""
        if self._answer is None or self._answer.done():
            return
        if head.startswith(b"HTTP/1.1 2"):
            self._answer.set_result(body)
        else:
            self._answer.set_exception(OSError(f"{head.splitlines()[0]!r} {body!r}"))


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
