"""Bad tokens, as fast as one process can send them: over HTTP in pipelines, over WebSocket a connection each."""

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable

from harness.raw_clients import message, raw_connect

PIPELINE = 50
"""Requests sent on a connection, without waiting for an answer in between."""
PATIENCE = 0.05
"""Seconds for which answers are read before the next connection is made: this client is not polite."""

Tokens = Callable[[], str]


class Flood:
    """How many tokens were sent, and what was heard of it: HTTP status codes and close codes."""

    def __init__(self) -> None:
        self.sent = 0
        self.heard: Counter[int] = Counter()

    async def http(self, port: int, source: str, tokens: Tokens, count: int) -> None:
        """Send `count` requests from this address, over one connection after the other."""
        for _ in range(count // PIPELINE):
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
                try:
                    writer.write(b"".join(_request(tokens()) for _ in range(PIPELINE)))
                    await writer.drain()
                    self.sent += PIPELINE
                    await self._listen(reader)
                finally:
                    writer.transport.abort()

    async def websocket(self, url: str, source: str, tokens: Tokens, count: int) -> None:
        """Say hello so often from this address, on a connection each."""
        for _ in range(count):
            self.sent += 1
            try:
                client = await raw_connect(url, source=source)
            except (AssertionError, OSError, EOFError):
                self.heard[429] += 1
                continue
            await client.push(message(type="hello", token=tokens()))
            self.heard[await client.close_code() or 0] += 1
            client.abort()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while data := await reader.read(2**16):
                    self.heard.update(map(int, re.findall(rb"HTTP/1.1 (\d\d\d)", data)))


def _request(token: str) -> bytes:
    return f"GET /v1/me HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def made_up(good: str) -> Tokens:
    """Return tokens like this one with another signature each: they are checked in full, and refused."""
    head, payload, signature = good.split(".")
    numbers = itertools.count()

    def one() -> str:
        number = f"{next(numbers):08d}"
        return f"{head}.{payload}.{number}{signature[8:]}"

    return one
