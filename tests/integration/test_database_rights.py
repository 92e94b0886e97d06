"""What each of MongoDB's users may do, and may not; and that persistence needs no more."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
from conftest import BASE_PORT
from harness.broker_client import connect_broker
from harness.checker import check, read_store
from harness.secured_mongodb import PASSWORD, RIGHTS, SecuredMongoDB
from harness.stack import Stack
from integration.conftest import new_place
from pymongo.errors import OperationFailure

BASE = BASE_PORT + 1_500
UNAUTHORIZED = 13
WITHIN = 30_000
"""Milliseconds to find the server; a bound, not an expectation."""

Client = pymongo.MongoClient[dict[str, Any]]
Operation = Callable[[Client], object]


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack whose database has access control."""
    mongodb = SecuredMongoDB(home / "database", BASE + 400)
    env = {"WARREN_MONGO_URL": mongodb.url_of("persistence")}
    stack = Stack(home / "database", BASE, gateways=1, persistence=1, env=env)
    stack.mongodb = mongodb
    with stack.running():
        yield stack


@pytest.fixture(scope="module")
def mongodb(stack: Stack) -> SecuredMongoDB:
    assert isinstance(stack.mongodb, SecuredMongoDB)
    return stack.mongodb


USERS = ("persistence", "presence", "a stranger")
YES, NO = True, False
# fmt: off
TABLE: dict[str, tuple[Operation, bool, bool, bool]] = {
    #                                                                                   persist. presence stranger
    "read events": (lambda c: c.warren.events.find_one(),                                   YES, NO,  NO),
    "write an event": (lambda c: c.warren.probe.insert_one({}),                             YES, NO,  NO),
    "change rooms": (lambda c: c.warren.rooms.update_one({"_id": "-"}, {"$set": {"a": 1}}), YES, NO,  NO),
    "index events": (lambda c: c.warren.probe.create_index("a"),                            YES, NO,  NO),
    # `readWrite` has it, and what can be deleted could be dropped as well.
    "drop a collection": (lambda c: c.warren.probe.drop(),                                  YES, NO,  NO),
    "read who was seen when": (lambda c: c.warren.last_seen.find_one(),                     YES, YES, NO),
    "say who was seen": (
        lambda c: c.warren.last_seen.update_one({"_id": "-"}, {"$set": {"at": 1}}, upsert=True),
                                                                                            YES, YES, NO),
    "index who was seen": (lambda c: c.warren.last_seen.create_index("at"),                 YES, YES, NO),
    "forget who was seen": (lambda c: c.warren.last_seen.delete_one({"_id": "-"}),          YES, NO,  NO),
    "drop who was seen": (lambda c: c.warren.last_seen.drop(),                              YES, NO,  NO),
    "drop the database": (lambda c: c.drop_database("warren"),                              NO,  NO,  NO),
    "read the users": (lambda c: c.admin["system.users"].find_one(),                        NO,  NO,  NO),
    "list the users": (lambda c: c.warren.command("usersInfo"),                             NO,  NO,  NO),
    "read another database": (lambda c: c.other.things.find_one(),                          NO,  NO,  NO),
    "write to another database": (lambda c: c.other.things.insert_one({}),                  NO,  NO,  NO),
    "read the oplog": (lambda c: c.local["oplog.rs"].find_one(),                            NO,  NO,  NO),
    "make a user": (lambda c: c.warren.command("createUser", "eve", pwd="x", roles=["readWrite"]), NO, NO, NO),
    "make an administrator": (lambda c: c.admin.command("createUser", "eve", pwd="x", roles=["root"]), NO, NO, NO),
    "make a role": (lambda c: c.warren.command("createRole", "eve", privileges=[], roles=["readWrite"]), NO, NO, NO),
    "take a role": (lambda c: c.warren.command("grantRolesToUser", "presence", roles=["dbOwner"]), NO, NO, NO),
    "change a password": (lambda c: c.warren.command("updateUser", "persistence", pwd="x"), NO,  NO,  NO),
    "change the set": (lambda c: c.admin.command("replSetStepDown", 1),                     NO,  NO,  NO),
    "stop the server": (lambda c: c.admin.command("shutdown"),                              NO,  NO,  NO),
    "read the server's log": (lambda c: c.admin.command("getLog", "global"),                NO,  NO,  NO),
    "see what others run": (lambda c: c.admin.command("currentOp", {"$all": True}),         NO,  NO,  NO),
}
# fmt: on


@pytest.mark.parametrize("operation", TABLE)
@pytest.mark.parametrize("user", USERS)
def test_a_user_may_do_what_its_service_needs_and_no_more(mongodb: SecuredMongoDB, user: str, operation: str) -> None:
    act, *cells = TABLE[operation]
    url = mongodb.url_of(user) if user != "a stranger" else mongodb.url_of("").replace(f":{PASSWORD}@", "")
    client: Client
    with pymongo.MongoClient(url, serverSelectionTimeoutMS=WITHIN) as client:
        if cells[USERS.index(user)]:
            act(client)
        else:
            with pytest.raises(OperationFailure) as refused:
                act(client)
            assert refused.value.code == UNAUTHORIZED


def test_every_user_of_the_file_is_in_the_table() -> None:
    assert {user["user"] for user in RIGHTS["users"]} == {"persistence", "presence"}


async def test_persistence_works_with_its_rights_and_so_after_a_restart(stack: Stack, http: httpx.AsyncClient) -> None:
    place = await new_place(http, stack.gateways[0].url)
    async with connect_broker(stack.amqp_url("gateway"), operator_url=stack.rabbitmq.url) as broker:
        await broker.fill(place.room, place.ann.id, ["one", "two"])
        stack.persistence[0].stop()
        stack.persistence[0].start()
        await broker.fill(place.room, place.bob.id, ["three"])
    store = read_store(stack.mongodb.url, [place.room])
    assert [event.get("text") for event in store[place.room]][-3:] == ["one", "two", "three"]
    assert check([], store) == []
