"""What the driver makes of an election: a write that meets one is stored once, and nobody is told that it failed.

A store alone, without the rest of Warren, on a replica set with the settings of docs/cluster.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BASE_PORT
from harness.replica_set import Member, ReplicaSet, members_here
from warren.ops import mongo

PORT = BASE_PORT + 3_500
AT_ONCE = 8
"""Writes under way when it happens."""
FAULTS: dict[str, Callable[[Member], None]] = {
    "killed": Member.kill, "halted": Member.pause, "stepped down": Member.step_down,
}  # fmt: skip


@pytest.fixture(scope="module")
def replica_set(home: Path) -> Iterator[ReplicaSet]:
    found = ReplicaSet(home / "elections", members_here(PORT))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
async def database(replica_set: ReplicaSet) -> AsyncIterator[Any]:
    """Return a database as services have it."""
    client, database = mongo.connect(replica_set.url, "tests")
    yield database
    client.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_meets_an_election_is_stored_once(replica_set: ReplicaSet, database: Any, fault: str) -> None:
    writes, primary, going_on = database[fault], await asyncio.to_thread(replica_set.primary), True

    async def write(first: int) -> int:
        """Write one after the other, each once, until told to end, and one more; return how many it were."""
        done = 0
        while going_on:
            with mongo.translated():
                await writes.insert_many([{"written": first + AT_ONCE * done}])
                await writes.find_one({"written": first})
            done += 1
        return done

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write(first)) for first in range(AT_ONCE)]
            while await writes.count_documents({}) < AT_ONCE:
                pass
            await asyncio.to_thread(FAULTS[fault], primary)
            await asyncio.to_thread(_another_leads, replica_set, primary)
            going_on = False
    finally:
        await asyncio.to_thread(_restore, replica_set, primary)
    found = [one["written"] async for one in writes.find({})]
    said = (first + AT_ONCE * n for first, task in enumerate(tasks) for n in range(task.result()))
    assert sorted(found) == sorted(said)


def _another_leads(replica_set: ReplicaSet, old: Member) -> None:
    while not any(member.leads() for member in replica_set.members if member is not old):
        pass


def _restore(replica_set: ReplicaSet, member: Member) -> None:
    member.resume()
    replica_set.start()
