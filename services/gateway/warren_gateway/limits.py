"""Limits on connections, people and addresses: token buckets and counts, in tables that cannot grow without end.

The clock is a parameter, in seconds and monotonic. All of it is this gateway's alone: n replicas let through n times as
much at most.
"""

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket.of(self._rate, now)
        else:
            self._buckets.move_to_end(key)
        wait = 0.0 if bucket.take(now) else bucket.wait(now)
        self._tidy(now)
        return wait

    def wait(self, key: str, now: float) -> float:
        """Return the seconds until there is one to take for this key, without taking it."""
        bucket = self._buckets.get(key)
        return 0.0 if bucket is None else bucket.wait(now)

    def _tidy(self, now: float) -> None:
        for _ in range(TIDY):
            oldest = next(iter(self._buckets.values()), None)
            if oldest is None or (len(self._buckets) <= self._most and not oldest.is_full(now)):
                return
            self._buckets.popitem(last=False)


class Places:
    """How many each key holds at the moment, `most` at most. As large as what is held, and no larger."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, key: str) -> bool:
        """Take a place for this key if there is one."""
        if self.is_full(key):
            return False
        self._held[key] += 1
        return True

    def is_full(self, key: str) -> bool:
        """Whether there is no place left for this key."""
        return self._held.get(key, 0) >= self.most

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]


class PersonLimits:
    """What one person may do, over all connections and requests."""

    def __init__(self, *, messages: Rate, changes: Rate, reads: Rate, typing: Rate, connections: int) -> None:
        self.messages = Buckets(messages)
        self.changes = Buckets(changes)
        self.reads = Buckets(reads)
        self.typing = Buckets(typing)
        self.connections = Places(connections)


class AddressLimits:
    """What may come from one address, whoever it is."""

    def __init__(self, *, requests: Rate, connects: Rate, failures: Rate, connections: int) -> None:
        self.requests = Buckets(requests)
        self.connects = Buckets(connects)
        self.failures = Buckets(failures)
        """Tokens that were refused. While it is empty, nothing that would have to be checked is listened to."""
        self.connections = Places(connections)


def address_of(scope: Mapping[str, Any]) -> str:
    """Return from which address an ASGI scope comes, as the limits count addresses."""
    client = scope.get("client")
    return address_key(client[0] if client else "")


@lru_cache(maxsize=10_000)
def address_key(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has to himself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "?"  # a Unix socket, or what a proxy should not have said: all of them together
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64)}/64"
