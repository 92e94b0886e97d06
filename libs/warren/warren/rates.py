"""Token buckets: so many a second in the long run, and a burst at once. The clock is a parameter: monotonic seconds."""

import math
from collections import OrderedDict
from dataclasses import dataclass

TABLE = 100_000
"""Keys in one table of buckets, about 20 MB when full. Whoever is forgotten because of it starts with a full bucket."""
TIDY = 2
"""Entries looked at whenever one is used: more than one, so that a table shrinks while it is in use."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and `burst` at once."""

    per_second: float
    burst: float


@dataclass(slots=True)
class Bucket:
    """Lets `burst` through at once and `rate` a second in the long run."""

    rate: float
    burst: float
    level: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> "Bucket":
        """Return a bucket from which nothing has been taken."""
        return cls(rate, burst, burst, now)

    @classmethod
    def of(cls, limit: Rate, now: float) -> "Bucket":
        """Return a full bucket for this limit."""
        return cls.full(limit.per_second, limit.burst, now)

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        self._fill(now)
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def charge(self, count: float, now: float) -> None:
        """Take so many, whether there are so many or not: it is paid for before the next one is let through."""
        self._fill(now)
        self.level -= count

    def wait(self, now: float) -> float:
        """Return the seconds until there is one to take; 0 if there is."""
        self._fill(now)
        return max(0.0, (1 - self.level) / self.rate)

    def is_full(self, now: float) -> bool:
        """Whether it is as if nothing had ever been taken."""
        self._fill(now)
        return self.level >= self.burst

    def _fill(self, now: float) -> None:
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now


def seconds(wait: float) -> int:
    """Return what `Retry-After` says for this wait: whole seconds, 1 at least."""
    return max(1, math.ceil(wait))


class Buckets:
    """A bucket for each key: those in use, and no more than `most`. Buckets that are full again are forgotten."""

    def __init__(self, rate: Rate, most: int = TABLE) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()  # used least recently first

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> float:
        """Take one for this key and return 0, or the seconds until there is one to take."""
        bucket = self._bucket(key, now)
        wait = 0.0 if bucket.take(now) else bucket.wait(now)
        self._tidy(now)
        return wait

    def charge(self, key: str, count: float, now: float) -> None:
        """Take so many for this key, whether there are so many or not."""
        self._bucket(key, now).charge(count, now)
        self._tidy(now)

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until there is one to take for this key, without taking it."""
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None else bucket.wait(now)

    def _bucket(self, key: str, now: float) -> Bucket:
        """Return the key's bucket, as the one used last."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket.of(self._rate, now)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def _tidy(self, now: float) -> None:
        for _ in range(TIDY):
            oldest = next(iter(self._buckets.values()), None)
            if oldest is None or (len(self._buckets) <= self._most and not oldest.is_full(now)):
                return
            self._buckets.popitem(last=False)
