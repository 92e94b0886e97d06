"""When people were last seen: gathered here, and written in bulk."""

import asyncio
import itertools
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from warren.contract.wire import utc_now
from warren.ops.mongo import StoreUnavailable

from warren_presence import metrics
from warren_presence.store import Store

log = logging.getLogger(__name__)

WRITE_EVERY = 2.0
"""Seconds that records gather."""
WRITE_LIMIT = 1_000
"""People in one write."""
WAITING_LIMIT = 100_000
"""People whose record waits while MongoDB is away, about 20 MB; beyond that the oldest are dropped."""


class LastSeen:
    """A buffer before the store. What is lost with the process was at most a minute newer than what is stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, datetime] = {}

    def record(self, user: str, ago: float = 0.0) -> None:
        """Take note that somebody was seen so many seconds ago."""
        self._waiting.pop(user, None)
        self._waiting[user] = utc_now() - timedelta(seconds=ago)
        while len(self._waiting) > WAITING_LIMIT:
            del self._waiting[next(iter(self._waiting))]
            metrics.UNRECORDED.inc()

    async def find(self, users: Iterable[str]) -> dict[str, datetime]:
        """Return when these were last seen, as far as that is known. Raises StoreUnavailable."""
        # Looked up first: what is written while the store is asked is in neither afterwards.
        waiting = {user: self._waiting[user] for user in users if user in self._waiting}
        return await self._store.find(users) | waiting

    async def run(self) -> None:
        """Write what has gathered, until cancelled; then the rest."""
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY)
                await self._write_all()
        finally:
            await self._write_all()

    async def _write_all(self) -> None:
        while self._waiting:
            portion = dict(itertools.islice(self._waiting.items(), WRITE_LIMIT))
            try:
                await self._store.record(portion)
            except StoreUnavailable as error:
                log.warning("last seen not written", extra={"error": str(error), "waiting": len(self._waiting)})
                return
            metrics.RECORDED.inc(len(portion))
            for user, at in portion.items():
                if self._waiting.get(user) == at:
                    del self._waiting[user]
