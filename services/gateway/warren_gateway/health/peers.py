"""The other gateways: whether they do better, asked while this one is in trouble."""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from warren.untrusted import read

from warren_gateway.fetch import fetch
from warren_gateway.health.condition import works

log = logging.getLogger(__name__)

CHECK_EVERY = 1.0
"""Seconds between two looks."""
ANSWER_WITHIN = 1.0
"""Seconds for a gateway to say how it is."""
ANSWER_BYTES, ANSWER_PARTS = 16 * 1024, 100
"""Of an answer that are read: it has a word for each of a handful of checks."""
MOST = 20
"""Gateways that are asked: of so many one that works is among them, if the trouble is this one's own."""


class Peers:
    """`urls`: where gateways are; all addresses of a host's name are one each, this one (`port`) perhaps among them.

    `troubled`: whether this one is in trouble; only then are they asked.
    """

    def __init__(self, urls: Sequence[str], port: int, troubled: Callable[[], bool]) -> None:
        self._hosts = [(parts.hostname or "", parts.port or 80) for parts in map(urlsplit, urls)]
        self._port = port
        self._troubled = troubled
        self.excused = False
        """Whether none of the others does better: there is none, or those that can be asked are in trouble, too.

        If none of them can be reached, the trouble is most likely this one's own.
        """

    async def run(self) -> None:
        """Look, for ever."""
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN, trust_env=False) as http:
            while True:
                before, self.excused = self.excused, self._troubled() and await self._all_fail(http)
                if self.excused and not before:
                    log.warning("failing like all other gateways: staying ready, to answer people")
                await asyncio.sleep(CHECK_EVERY)

    async def _all_fail(self, http: httpx.AsyncClient) -> bool:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                found = await asyncio.gather(*(_addresses(*place) for place in self._hosts))
        except OSError:
            return False
        others = [place for place in itertools.chain.from_iterable(found) if not self._is_this(*place)]
        answers = await asyncio.gather(*(_ask(http, *place) for place in others[:MOST]))
        known = [answer for answer in answers if answer is not None]
        return bool(known or not others) and not any(map(works, known))

    def _is_this(self, address: str, port: int) -> bool:
        return port == self._port and _is_own(address)


async def _addresses(host: str, port: int) -> list[tuple[str, int]]:
    """Return all addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(address, port) for address in dict.fromkeys(str(place[0]) for *_, place in found)]


async def _ask(http: httpx.AsyncClient, address: str, port: int) -> Mapping[str, Any] | None:
    """Return what a gateway's checks say; None if it does not answer."""
    host = f"[{address}]" if ":" in address else address
    try:
        answer = await fetch(http, f"http://{host}:{port}/readyz", ANSWER_BYTES, ANSWER_WITHIN)
        found = read(answer.content, ANSWER_PARTS)
    except (httpx.HTTPError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _is_own(address: str) -> bool:
    """Whether an address is this machine's, which then is what one comes from when one goes there. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return str(probe.getsockname()[0]) == address
