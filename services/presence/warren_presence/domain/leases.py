"""Which gateways live, by their heartbeats."""

from warren.contract.presence import GRACE, HEARTBEAT, LEASE

SLACK = 1.0
"""Seconds by which a heartbeat may be late on its way."""
DISCOVERY_WAIT = 1.0
"""Seconds that a replica waits for gateways it may not have heard of yet."""
REMEMBERED = 120.0
"""Seconds for which a gateway that has stopped is known to have: longer than its announcements can be under way."""


class Leases:
    """The known gateways, each with its last heartbeat. Time in which this replica did not consume does not count."""

    def __init__(self, now: float) -> None:
        self._heard: dict[str, float] = {}
        self._stopped: dict[str, float] = {}
        """Those that have stopped in order, and when; the latest last."""
        self._listening_since = now

    def listen(self, now: float) -> None:
        """Begin to listen (again): whoever was known gets a fresh lease, since nobody could be heard meanwhile."""
        self._listening_since = now
        self._heard = dict.fromkeys(self._heard, now)

    def renew(self, gateway: str, now: float) -> None:
        """Renew a lease, or begin one."""
        self._heard[gateway] = now

    def add_heard_elsewhere(self, gateway: str, heard: float) -> bool:
        """Add a gateway that another replica knows; return whether it is new here."""
        if gateway in self._heard or gateway in self._stopped:
            return False
        self._heard[gateway] = heard
        return True

    def seconds_silent(self, now: float) -> dict[str, float]:
        """Return for how many seconds each gateway has been silent."""
        return {gateway: now - heard for gateway, heard in self._heard.items()}

    def end(self, gateway: str) -> None:
        """Forget a gateway that has been silent for too long."""
        self._heard.pop(gateway, None)

    def stop(self, gateway: str, now: float) -> None:
        """Forget a gateway that has stopped: what may come of it yet is of the past."""
        self._heard.pop(gateway, None)
        self._stopped = {name: at for name, at in self._stopped.items() if now - at < REMEMBERED and name != gateway}
        self._stopped[gateway] = now

    def stopped(self, gateway: str) -> bool:
        """Whether the gateway has stopped, as far as that is remembered."""
        return gateway in self._stopped

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

    def not_before(self, now: float) -> float:
        """Return when a shard that is taken over now may be spoken for at the earliest.

        By then all gateways have been heard, and whoever was on one that has stopped has come back or had their grace:
        there is nobody else who would remember them.
        """
        earliest = now if self.complete(now) else now + DISCOVERY_WAIT
        return max([earliest, *(at + GRACE for at in self._stopped.values())])
