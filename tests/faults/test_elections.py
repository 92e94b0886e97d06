"""What the driver makes of an election: a write that meets one is stored once, and nobody is told that it failed.

A store alone, without the rest of Warren, on a replica set with the settings of docs/cluster.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from conftest import BASE_PORT
from harness.replica_set import PARAMETERS, Member, ReplicaSet, members_here
from harness.tcp_proxy import TcpProxy
from pymongo import UpdateOne
from warren.ops import mongo

PORT = BASE_PORT + 3_500
AT_ONCE = 8
"""Writes under way when it happens."""
FAULTS: dict[str, Callable[[Member], None]] = {
    "killed": Member.kill, "halted": Member.pause, "stepped down": Member.step_down,
}  # fmt: skip

INTERRUPTED = {
    64: "WriteConcernFailed", 89: "NetworkTimeout", 91: "ShutdownInProgress", 100: "UnsatisfiableWriteConcern",
    134: "ReadConcernMajorityNotAvailableYet", 189: "PrimarySteppedDown", 262: "ExceededTimeLimit",
    10107: "NotWritablePrimary", 11602: "InterruptedDueToReplStateChange",
}  # fmt: skip
"""MongoDB's codes for what is lost with a primary, or waits for a majority in vain."""
WITHIN = 120.0
"""Seconds for all that is written around an election; a bound, not an expectation. How long one takes on this machine
is not what is asked here, so the bound for each operation, which services have, does not hold."""
HANG_UPS = range(1, 6)
"""Connections that come to nothing: the first is the driver's monitor's; by itself the driver gives up after three."""
GIVEN_UP_AFTER = 0.5
"""Seconds in which the driver tries again what never works here."""


@pytest.fixture(scope="module")
def replica_set(home: Path) -> Iterator[ReplicaSet]:
    found = ReplicaSet(home / "elections", members_here(PORT), parameters={**PARAMETERS, "enableTestCommands": 1})
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


@contextmanager
def failing(replica_set: ReplicaSet, command: str, failure: dict[str, Any]) -> Iterator[None]:
    """Have the primary fail at a command, as its own tests do."""
    with replica_set.primary().asked() as client:
        point = {"failCommands": [command], **failure}
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=point)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize(("code", "name"), INTERRUPTED.items())
async def test_what_an_election_interrupts_is_no_mistake_of_ours(
    replica_set: ReplicaSet, database: Any, code: int, name: str
) -> None:
    """Whatever the driver could not mend in time, and in whichever form: the callers try again."""
    error, concern = {"errorCode": code}, {"writeConcernError": {"code": code, "codeName": name, "errmsg": "injected"}}
    acts: list[tuple[str, dict[str, Any], Callable[[], Any]]] = [
        ("find", error, lambda: database.things.find_one({})),
        ("aggregate", error, lambda: database.things.aggregate([]).to_list(None)),
        ("insert", error, lambda: database.things.insert_many([{}])),
        ("insert", concern, lambda: database.things.insert_many([{}])),
        (
            "update",
            concern,
            lambda: database.things.bulk_write([UpdateOne({"_id": 1}, {"$set": {"a": 1}}, upsert=True)]),
        ),
        ("update", concern, lambda: database.things.update_many({}, {"$set": {"a": 1}})),
    ]
    for command, failure, act in acts:
        broken, soon = failing(replica_set, command, failure), pymongo.timeout(GIVEN_UP_AFTER)
        with broken, soon, pytest.raises(mongo.StoreUnavailable), mongo.translated():
            await act()


async def test_a_connection_that_is_lost_while_it_is_made_is_made_again(replica_set: ReplicaSet) -> None:
    """So it is when a primary dies, until the driver's monitor has noticed, too."""
    async with TcpProxy(replica_set.primary().place.port).running() as wire:
        client, database = mongo.connect(f"mongodb://127.0.0.1:{wire.port}/warren?directConnection=true", "tests")
        wire.hang_up_on(HANG_UPS)
        with pymongo.timeout(WITHIN):
            await database.things.find_one({})
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

    with pymongo.timeout(WITHIN):
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
