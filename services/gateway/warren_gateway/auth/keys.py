"""The issuer's public keys: read from a URL or file, kept, and read again when that is worth it."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
from warren.broker.backoff import backoff

from warren_gateway import metrics
from warren_gateway.fetch import fetch

log = logging.getLogger(__name__)

UNKNOWN_EVERY = 5.0
"""Seconds between two readings because of a key id that is not known. Anybody can make one up: that costs the issuer
twelve readings a minute at most, and somebody whose key has just come no more than this."""
ABSENT_UP_TO = 60.0
"""Seconds between two readings while there are no keys at all, in the end."""
RETIRED = 1_000
"""Ids of keys that were taken back and are remembered."""
FETCH_WITHIN = 5.0
"""Seconds for one reading."""
FETCH_BYTES = 256 * 1024
"""What a key set may hold; real ones have a few KiB."""
KEYS = 100
"""Keys of one set that are looked at."""


class KeysUnavailable(Exception):
    """The key set could not be read, or has no key that is of use."""


class KeySet:
    """The keys by id. Those that are here stay good while the source cannot be read."""

    def __init__(
        self, source: str, algorithms: frozenset[str], every: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._algorithms = algorithms
        self._every = every
        self._clock = clock
        self._body = b""
        self._keys: list[jwt.PyJWK] = []
        self._reading: asyncio.Task[None] | None = None
        self._last_unknown: float | None = None
        """When an unknown key id was last the reason to read."""
        self._retired: dict[str, None] = {}
        """Ids of keys that were taken back, in the order of that."""
        self.generation = 0
        """Rises when the keys change: what was checked by others counts no more."""

    @property
    def ready(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    async def find(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        """Return the key; one that is not known is looked for at the source, if nobody just has."""
        if not self._fitting(algorithm, kid):
            await self._read_for_unknown()
        return self.at_hand(algorithm, kid)

    def at_hand(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        """Return the key if it is known."""
        fitting = self._fitting(algorithm, kid)
        # Without an id there must be no choice: trying one key after the other would multiply what a bad token costs.
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None

    def again(self, kid: str | None) -> float:
        """Return the seconds until a key that is not known is looked for again, 0 if it is known that none will come.

        Issuers sign with a key as soon as they have published it, and gateways learn of that when they ask.
        """
        known = kid in self._retired or any(kid in (None, key.key_id) for key in self._keys)
        since = 0.0 if self._last_unknown is None else self._clock() - self._last_unknown
        return 0.0 if known else max(1.0, UNKNOWN_EVERY - since)

    async def run(self) -> None:
        """Read the keys now and every so many seconds, until cancelled; soon again while there are none."""
        waits = backoff(1.0, ABSENT_UP_TO)
        while True:
            await self._read_once()
            await asyncio.sleep(self._every if self._keys else next(waits))

    def _fitting(self, algorithm: str, kid: str | None) -> list[jwt.PyJWK]:
        return [key for key in self._keys if key.algorithm_name == algorithm and kid in (None, key.key_id)]

    async def _read_for_unknown(self) -> None:
        now = self._clock()
        if self._reading is None and self._last_unknown is not None and now - self._last_unknown < UNKNOWN_EVERY:
            return
        if self._reading is None:
            self._last_unknown = now  # before it is known what comes of it: a source that fails is not asked more often
        await self._read_once()

    async def _read_once(self) -> None:
        """Wait for the reading that is under way, or start one."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        # One reading serves all who wait; none of them may end it by going away.
        await asyncio.shield(self._reading)

    def _done(self, _: asyncio.Task[None]) -> None:
        self._reading = None

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(FETCH_WITHIN):
                body = await load(self._source)
                keys = usable(body, self._algorithms)
        except (KeysUnavailable, httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            metrics.JWKS.labels("failed").inc()
            # Without the URL, which may have a password in it, as httpx's messages do.
            detail = {"error": type(error).__name__, "kept": len(self._keys)}
            log.warning("the keys of the token issuer were not read", extra=detail)
            return
        metrics.JWKS.labels("read").inc()
        if body != self._body:
            log.info("keys of the token issuer", extra={"kids": [key.key_id for key in keys]})
            self._retire(self._keys, keys)
            self._body, self._keys = body, keys
            self.generation += 1

    def _retire(self, before: list[jwt.PyJWK], after: list[jwt.PyJWK]) -> None:
        """Remember the ids that are gone: they are no keys yet to come."""
        now = {key.key_id for key in after}
        self._retired |= {key.key_id: None for key in before if key.key_id and key.key_id not in now}
        for kid in [kid for kid in self._retired if kid in now] + list(self._retired)[:-RETIRED]:
            self._retired.pop(kid, None)


async def load(source: str) -> bytes:
    """Return what is at a URL or in a file. Raises KeysUnavailable, httpx.HTTPError, OSError."""
    parts = urlsplit(source)
    if parts.scheme in ("http", "https"):
        return await _fetch(source)
    return await asyncio.to_thread(_read_file, Path(parts.path if parts.scheme == "file" else source))


async def _fetch(url: str) -> bytes:
    async with httpx.AsyncClient(timeout=FETCH_WITHIN) as http:
        return (await fetch(http, url, FETCH_BYTES, FETCH_WITHIN)).raise_for_status().content


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        found = file.read(FETCH_BYTES + 1)
    if len(found) > FETCH_BYTES:
        raise KeysUnavailable(f"more than {FETCH_BYTES} bytes")
    return found


def usable(body: bytes, algorithms: frozenset[str]) -> list[jwt.PyJWK]:
    """Return the keys that check signatures with an allowed algorithm. Raises KeysUnavailable if there is none."""
    try:
        entries = json.loads(body)["keys"][:KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnavailable("not a JWK set") from error
    found = [key for key in map(_key, entries) if key is not None and key.algorithm_name in algorithms]
    if not found:
        raise KeysUnavailable(f"no key for {', '.join(sorted(algorithms))}")
    return found


def _key(entry: object) -> jwt.PyJWK | None:
    """Return a key for signatures, long enough; None for anything else, which is no reason to lose the others."""
    if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(entry.get("kid"), str | None):
        return None
    with suppress(jwt.PyJWTError, ValueError, TypeError, KeyError):
        key = jwt.PyJWK(entry)
        if key.Algorithm.check_key_length(key.key) is None:
            return key
    return None
