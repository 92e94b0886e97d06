"""A shard of presence that fails is begun anew, and not over and over while what it fails at is there."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from warren.broker.shards import Lease
from warren.contract.presence import LEASE, Announcement
from warren_presence.domain.shard import Shard
from warren_presence.service import FAILED_PAUSE, PresenceService

BROKEN, WHOLE = 3, 4
"""Shards."""


class Channel:
    """What is acknowledged on: it cannot be told from one that is lost."""

    is_closed = True


def takeovers() -> float:
    return REGISTRY.get_sample_value("warren_presence_takeovers_total") or 0.0


@pytest.fixture
async def replica(monkeypatch: pytest.MonkeyPatch) -> PresenceService:
    """Return one to which it happens that nobody foresaw, as long as that is so."""
    announce = Shard.announce

    def failing(shard: Shard, said: Announcement, now: float) -> None:
        if said.gateway == "broken":
            raise RuntimeError("nobody foresaw it")
        announce(shard, said, now)

    monkeypatch.setattr(Shard, "announce", failing)
    found = PresenceService("test", cast(Any, None))
    found._clock = cast(Any, SimpleNamespace(now=100.0))
    return found


def announced(replica: PresenceService, number: int, gateway: str) -> None:
    said = Announcement(gateway=gateway, shard=number, seq=1, full=True, changes=[])
    message = SimpleNamespace(body=said.model_dump_json().encode(), delivery_tag=1)
    replica._on_delivery(Lease(number, cast(Any, Channel)), cast(Any, message))


async def test_what_it_fails_at_is_not_asked_for_again_at_once(replica: PresenceService) -> None:
    """Else every gateway would announce all it has, the failing part included, as fast as the broker carries it."""
    before = takeovers()
    for _ in range(100):
        announced(replica, BROKEN, "broken")
    assert takeovers() == before + 1
    announced(replica, WHOLE, "fine")
    assert takeovers() == before + 2
    announced(replica, BROKEN, "fine")
    assert takeovers() == before + 2
    replica._clock.now += FAILED_PAUSE
    announced(replica, BROKEN, "fine")
    announced(replica, BROKEN, "fine")
    assert takeovers() == before + 3


async def test_one_that_fails_when_a_gateway_is_silent_leaves_the_others(
    replica: PresenceService, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, ended = Shard.end, []

    def failing(shard: Shard, gateway: str, *when: Any) -> None:
        ended.append(gateway)
        if len(ended) == 1:
            raise RuntimeError("nobody foresaw it")
        end(shard, gateway, *when)

    monkeypatch.setattr(Shard, "end", failing)
    for number in (BROKEN, WHOLE):
        announced(replica, number, "fine")
    replica._expire(replica._clock.now + LEASE + 1)
    assert ended == ["fine", "fine"]
    assert list(replica._held) == [WHOLE]
