"""Limits on connections, people and addresses: token buckets and counts, in tables that cannot grow without end.

The clock is a parameter, in seconds and monotonic. All of it is this gateway's alone: n replicas let through n times as
much at most.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from warren.contract.frames import Limits
from warren.contract.ids import TEXT_LIMIT
from warren.rates import Bucket, Buckets, Rate


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may do. `refusals`: frames that are refused as invalid or too many.

    `keep_alive`: seconds after which a stream, on which the client cannot speak, shows that it lives.
    """

    frames: Rate
    messages: Rate
    joins: Rate
    typing: Rate
    statuses: Rate
    refusals: Rate
    unanswered: int
    rooms: int
    keep_alive: int = 15

    @property
    def advertised(self) -> Limits:
        """What the client learns of it."""
        return Limits(text_characters=TEXT_LIMIT, rooms=self.rooms, unanswered=self.unanswered)


class ConnectionBuckets:
    """What one connection has left of its limits. `frames`: what its transport takes from, too, if it does."""

    __slots__ = ("frames", "joins", "messages", "refusals", "statuses", "typing")

    def __init__(self, limits: ConnectionLimits, now: float, frames: Bucket | None = None) -> None:
        self.frames = frames or Bucket.of(limits.frames, now)
        self.messages = Bucket.of(limits.messages, now)
        self.joins = Bucket.of(limits.joins, now)
        self.typing = Bucket.of(limits.typing, now)
        self.statuses = Bucket.of(limits.statuses, now)
        self.refusals = Bucket.of(limits.refusals, now)


class ConcurrencyLimiter:
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

    def __init__(
        self, *, messages: Rate, changes: Rate, reads: Rate, joins: Rate, typing: Rate, connections: int
    ) -> None:
        self.messages = Buckets(messages)
        self.changes = Buckets(changes)
        self.reads = Buckets(reads)
        self.joins = Buckets(joins)
        """Rooms that somebody asks to follow, if the store has to say what their access is, or what came."""
        self.typing = Buckets(typing)
        self.connections = ConcurrencyLimiter(connections)


class AddressLimits:
    """What may come from one address, whoever it is."""

    def __init__(self, *, requests: Rate, connects: Rate, failures: Rate, connections: int) -> None:
        self.requests = Buckets(requests)
        self.connects = Buckets(connects)
        self.failures = Buckets(failures)
        """Tokens that were refused. While it is empty, nothing that would have to be checked is listened to."""
        self.connections = ConcurrencyLimiter(connections)


def address_of(scope: Mapping[str, Any]) -> str:
    """Return from which address an ASGI scope comes, as the limits count addresses."""
    connection = scope.get("client")
    return address_key(connection[0] if connection else "")


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
