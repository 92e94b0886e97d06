"""Clients below any library, over WebSocket and HTTP: they can do what a polite client never does."""

import asyncio
import base64
import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from warren_gateway.http.listener import HEAD_WITHIN

from harness.sse_transport import Event, EventParser
from harness.transport import WITHIN

OPENINGS, STALLED = 5, HEAD_WITHIN / 2
"""Times that a connection is opened, and seconds that it may take: a gateway closes one on which nothing has been said,
which it has not where this process, and not the gateway, stood still between connecting and saying something."""
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, length: int | None = None) -> bytes:
    """Return a masked frame (the mask is zero); `length` is what the header says if not the truth."""
    said = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    if said < 126:
        head += bytes([0x80 | said])
    elif said < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", said)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", said)
    return head + bytes(4) + payload


def message(**fields: Any) -> bytes:
    """Return a JSON object as a frame."""
    return frame(json.dumps(fields).encode())


class RawConnection:
    """Bytes out, bytes in, and nothing in between."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def port(self) -> int:
        """The local port, by which the other end knows it."""
        found: int = self.writer.get_extra_info("sockname")[1]
        return found

    async def push(self, data: bytes) -> bool:
        """Send bytes as fast as the server takes them; False if it has hung up."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            return False
        return True

    def stop_reading(self) -> None:
        """Read nothing from now on: what comes piles up at the sender."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

    def go_on_reading(self) -> None:
        """Read again."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()


class RawClient(RawConnection):
    """A WebSocket after its handshake: frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.texts: list[bytes] = []
        """The messages read so far."""

    async def read_frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame. Raises OSError or EOFError."""
        head = await self.reader.readexactly(2)
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return head[0] & 0x0F, await self.reader.readexactly(length)

    async def read_json(self, kind: str) -> dict[str, Any]:
        """Return the next message of this type, passing over others."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == TEXT and (found := json.loads(payload))["type"] == kind:
                assert isinstance(found, dict)
                return found
            assert opcode != CLOSE, payload

    async def close_code(self) -> int | None:
        """Read on to the close frame and return its code; None if the connection ended without one."""
        try:
            while True:
                opcode, payload = await self.read_frame()
                if opcode == CLOSE:
                    return int(struct.unpack("!H", payload[:2])[0])
                if opcode == TEXT:
                    self.texts.append(payload)
        except (OSError, EOFError):
            return None


class RawRequest(RawConnection):
    """An HTTP request that was sent; its answer is read, or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._parser = EventParser()
        self._events: deque[Event] = deque()

    async def head(self) -> int:
        """Read the answer's head and return its status. Raises OSError or EOFError."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    async def piece(self) -> bytes:
        """Return the next piece of a chunked body, the last of which is empty. Raises OSError or EOFError."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:size]

    async def event(self) -> Event:
        """Return the next event of a stream. Raises OSError or EOFError, which is its end, too."""
        async with asyncio.timeout(WITHIN):
            while not self._events:
                data = await self.piece()
                if not data:
                    raise EOFError
                self._events += self._parser.feed(data)
        return self._events.popleft()


async def raw_open(
    url: str, *, receive_buffer: int | None = None, source: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a gateway, from the address `source` if given.

    A small `receive_buffer` makes a reader that stops stop the sender soon.
    """
    for _ in range(OPENINGS - 1):
        begun = time.monotonic()
        reader, writer = await _raw_open(url, receive_buffer, source)
        if time.monotonic() - begun < STALLED:
            return reader, writer
        writer.transport.abort()
    return await _raw_open(url, receive_buffer, source)


async def _raw_open(
    url: str, receive_buffer: int | None, source: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(url)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source is not None:
        sock.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(sock, (where.hostname, where.port))
    return await asyncio.open_connection(sock=sock, limit=receive_buffer or 2**16)


async def raw_request(
    url: str, method: str, path: str, token: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
    receive_buffer: int | None = None,
) -> RawRequest:  # fmt: skip
    """Send a request on a connection of its own; `body` is sent as JSON."""
    sent = RawRequest(*await raw_open(url, receive_buffer=receive_buffer))
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Host": "gateway", "Authorization": f"Bearer {token}", "Content-Length": len(content), **(headers or {})}
    if body is not None:
        fields["Content-Type"] = "application/json"
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    sent.writer.write("\r\n".join(head).encode() + content)
    return sent


def handshake(host: str) -> bytes:
    """Return the request that makes a connection a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def raw_connect(url: str, *, receive_buffer: int | None = None, source: str | None = None) -> RawClient:
    """Connect to a gateway's `/v1/ws`."""
    reader, writer = await raw_open(url, receive_buffer=receive_buffer, source=source)
    writer.write(handshake(urlsplit(url).netloc))
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in answer.splitlines()[0], answer
    return RawClient(reader, writer)


async def raw_sign_in(url: str, token: str, *, receive_buffer: int | None = None) -> RawClient:
    """Connect and say hello."""
    client = await raw_connect(url, receive_buffer=receive_buffer)
    await client.push(message(type="hello", token=token))
    await client.read_json("welcome")
    return client
