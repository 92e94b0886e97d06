"""Which gateways live, by their heartbeats."""

from warren.contract.presence import HEARTBEAT, LEASE

SLACK = 1.0
"""Seconds by which a heartbeat may be late on its way."""


class Leases:
    """The gateways heard of, and when each was heard last. What was not listened for is not held against them."""

    def __init__(self, now: float) -> None:
        self._heard: dict[str, float] = {}
        self._listening_since = now

    def listen(self, now: float) -> None:
        """Begin to listen (again): whoever was known gets a fresh lease, since nobody could be heard meanwhile."""
        self._listening_since = now
        self._heard = dict.fromkeys(self._heard, now)

    def hear(self, gateway: str, now: float) -> None:
        """Renew a lease, or begin one."""
        self._heard[gateway] = now

    def end(self, gateway: str) -> None:
        """Forget a gateway."""
        self._heard.pop(gateway, None)

    def heard_at(self, gateway: str) -> float | None:
        """Return when the gateway was last heard, or None if it is not known."""
        return self._heard.get(gateway)

    @property
    def alive(self) -> frozenset[str]:
        """The gateways whose leases hold, as of the last look at the expired ones."""
        return frozenset(self._heard)

    def expired(self, now: float) -> list[str]:
        """Return the gateways that have been silent for too long."""
        return [gateway for gateway, heard in self._heard.items() if now - heard >= LEASE]

    def complete(self, now: float) -> bool:
        """Whether every gateway that lives has been heard by now."""
        return now - self._listening_since >= HEARTBEAT + SLACK
