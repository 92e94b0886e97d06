"""What stands where a database or an issuer of tokens should be ends nobody, and nobody waits for it for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

import pytest
from harness.peer import Fault, Peer
from warren.ops import mongo
from warren.ops.mongo import StoreUnavailable
from warren_gateway import jwks
from warren_gateway.jwks import KeySet
from warren_persistence import store as persistence
from warren_presence import store as presence

FAULTS: tuple[Fault, ...] = get_args(Fault)
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
PATIENCE = 1.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "OPERATION_TIMEOUT", PATIENCE * 1_000)
    monkeypatch.setattr(jwks, "FETCH_WITHIN", PATIENCE)


async def with_each(act: Callable[[int], Awaitable[None]]) -> None:
    """Do this with a peer of each kind, at the same time; its port is given."""

    async def with_one(fault: Fault) -> None:
        async with Peer(fault, 0).running() as peer:
            await act(peer.port)

    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        for fault in FAULTS:
            group.create_task(with_one(fault), name=fault)


async def test_a_store_that_is_none_is_unavailable() -> None:
    async def act(port: int) -> None:
        url = f"mongodb://127.0.0.1:{port}/warren?replicaSet=warren"
        log, seen = persistence.connect(url), presence.connect(url)
        try:
            for call in (log.prepare(), log.prove(), seen.find(["ann"])):
                with pytest.raises(StoreUnavailable):
                    await call
        finally:
            log.close()
            seen.close()

    await with_each(act)


async def test_keys_that_are_none_leave_those_that_are_known() -> None:
    async def act(port: int) -> None:
        keys = KeySet(f"http://127.0.0.1:{port}/jwks", frozenset({"RS256"}), 600.0)
        assert await keys.find("RS256", "one") is None

    await with_each(act)
