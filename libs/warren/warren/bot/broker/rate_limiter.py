"""How fast a bot says things."""

import asyncio
import time

from warren.bot import metrics
from warren.rates import Bucket, Rate


class RateLimiter:
    """Lets so much through; what has to wait does so in the order in which it came."""

    def __init__(self, rate: Rate) -> None:
        self._bucket = Bucket.of(rate, time.monotonic())
        self._lock = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until one thing more may be said."""
        async with self._lock:  # whoever slept by itself would be overtaken, again and again
            if self._bucket.take(time.monotonic()):
                return
            metrics.PACED.inc()
            while not self._bucket.take(now := time.monotonic()):  # noqa: ASYNC110 - a bucket has a time, and no event
                await asyncio.sleep(self._bucket.wait(now))
