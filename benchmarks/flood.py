"""Sends the same request again and again from an address of its own, in a process of its own.

As fast as it is answered; or, impatient, so many a second, on a new connection for each batch and without waiting for
any answer.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections import Counter

import uvloop

SOURCE = "127.0.0.2"
CONNECTIONS = 8
PIPELINE = 32
"""Requests on their way on each connection at once."""
READ = 256 * 1024


class Hose:
    """What was answered so far, by status; `lost`: on connections that were ended; `sent`: nobody waited for it."""

    def __init__(self, port: int, request: bytes, pipeline: int, *, rate: float) -> None:
        self._port = port
        self._pause = CONNECTIONS * pipeline / rate if rate else 0.0
        self._batch = request * pipeline
        self._pipeline = pipeline
        self.answers: Counter[str] = Counter()

    async def run(self, until: float) -> None:
        """Send over one connection after the other until this time (monotonic)."""
        due = time.monotonic()
        while time.monotonic() < until:
            due += self._pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(SOURCE, 0))
                try:
                    if self._pause:
                        await self._send(writer)
                    while not self._pause and time.monotonic() < until and await self._round(reader, writer):
                        pass
                finally:
                    writer.transport.abort()
            except OSError:
                self.answers["lost"] += self._pipeline

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._batch)
        await writer.drain()
        self.answers["sent"] += self._pipeline

    async def _round(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send a batch and read its answers; False if the connection was ended."""
        writer.write(self._batch)
        missing = self._pipeline
        rest = b""
        while missing > 0:
            data = rest + await reader.read(READ)
            if data == rest:
                self.answers["lost"] += missing
                return False
            pieces = data.split(b"HTTP/1.1 ")
            # The last piece may be cut in the status; it is looked at again with what follows.
            for piece in pieces[1:-1]:
                self.answers[piece[:3].decode()] += 1
                missing -= 1
            if missing == 1 and len(pieces) > 1 and pieces[-1].endswith(b"}"):
                self.answers[pieces[-1][:3].decode()] += 1
                missing = 0
            rest = b"HTTP/1.1 " + pieces[-1] if len(pieces) > 1 else data
        return True


async def flood(port: int, token: str, seconds: float, pipeline: int, *, rate: float) -> dict[str, int]:
    """Return what was answered within the time."""
    request = f"GET /v1/me HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    hose = Hose(port, request, pipeline, rate=rate)
    until = time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + 1):
            await asyncio.gather(*(hose.run(until) for _ in range(CONNECTIONS)))
    return dict(hose.answers)


def main() -> None:
    """Flood a gateway with the token on standard input and print what was answered as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--pipeline", type=int, default=PIPELINE)
    parser.add_argument("--rate", type=float, default=0.0, help="a second, without waiting; 0: wait for answers")
    given = parser.parse_args()
    flooding = flood(given.port, input(), given.seconds, given.pipeline, rate=given.rate)
    print(json.dumps(uvloop.run(flooding)))


if __name__ == "__main__":
    main()
