"""A command at which a writer fails unexpectedly is dead-lettered alone: no replica ends, and no other room waits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pymongo
import pytest
from harness.bots import depth, until
from harness.broker_client import BrokerClient, send_command
from harness.checker import check, read_store
from harness.observability import metric
from harness.resilient_client import fresh_room, make_room
from harness.stack import Stack
from integration.conftest import Person, new_person
from pymongo.database import Database
from warren.broker.dead_letters import open_dead_letters
from warren.contract.codes import Code
from warren.contract.topology import shard, shard_queue

Documents = Database[dict[str, Any]]
UNSTORABLE = "not to be stored"


@pytest.fixture
def database(stack: Stack) -> Iterator[Documents]:
    """The database as somebody has it who repairs it by hand, or breaks it."""
    with pymongo.MongoClient[dict[str, Any]](stack.mongodb.url) as client:
        yield client.get_default_database()


@contextmanager
def changed(database: Documents, collection: str, where: dict[str, Any], **fields: Any) -> Iterator[None]:
    """Change a document for a while."""
    before = database[collection].find_one(where)
    assert before is not None
    database[collection].update_one(where, {"$set": fields})
    try:
        yield
    finally:
        database[collection].replace_one(where, before)


@contextmanager
def taking_only(database: Documents, **rules: dict[str, Any]) -> Iterator[None]:
    """Have MongoDB refuse, in these collections, what does not obey."""
    for collection, rule in rules.items():
        database.command("collMod", collection, validator=rule)
    try:
        yield
    finally:
        for collection in rules:
            database.command("collMod", collection, validator={})


@dataclass(frozen=True, slots=True)
class Rooms:
    """Rooms of ann's: one that something is wrong with, one of the same shard, one of another."""

    ann: Person
    broken: str
    beside: str
    elsewhere: str

    @property
    def all(self) -> tuple[str, str, str]:
        return self.broken, self.beside, self.elsewhere

    def say(self, room: str, text: str = "hi") -> dict[str, Any]:
        return send_command(room, self.ann.id, text)


@pytest.fixture
async def rooms(http: httpx.AsyncClient, gateways: list[str]) -> Rooms:
    broken = fresh_room("broken")
    beside = next(name for name in iter(lambda: fresh_room("beside"), "") if shard(name) == shard(broken))
    elsewhere = next(name for name in iter(lambda: fresh_room("elsewhere"), "") if shard(name) != shard(broken))
    found = Rooms(new_person("ann"), broken, beside, elsewhere)
    for room in found.all:
        await make_room(http, gateways[0], room, found.ann.token)
    return found


@pytest.fixture
async def unharmed(stack: Stack, rooms: Rooms) -> AsyncIterator[None]:
    """Afterwards every replica lives, nothing of the shard is left to be delivered, and the logs are whole."""
    yield

    async def empty() -> bool:
        return not await depth(stack.rabbitmq.url, shard_queue(shard(rooms.broken)))

    await until(empty)
    assert all(replica.running for replica in stack.persistence)
    assert check([], read_store(stack.mongodb.url, rooms.all)) == []


async def failures(stack: Stack, what: str = "commit") -> float:
    return sum([await metric(one.url, "warren_failures_total", what=what) for one in stack.persistence])


async def letters(stack: Stack, room: str) -> list[bytes]:
    """Return the dead letters about a room."""
    async with open_dead_letters(stack.rabbitmq.url) as found:
        return [letter.message.body for letter in found.found if room.encode() in letter.message.body]


async def replay(stack: Stack, room: str) -> None:
    async with open_dead_letters(stack.rabbitmq.url) as found:
        for letter in found.found:
            if room.encode() in letter.message.body:
                await found.replay(letter)


def join(room: str, user: str) -> dict[str, Any]:
    command = {**send_command(room, user, ""), "type": "join"}
    del command["text"]
    return command


@pytest.mark.usefixtures("unharmed")
async def test_a_room_that_cannot_be_read_is_dead_lettered_until_it_is_mended(
    stack: Stack, database: Documents, broker: BrokerClient, rooms: Rooms
) -> None:
    before = await failures(stack)
    strangers = [join(rooms.broken, new_person("eve").id) for _ in range(3)]
    beside = [rooms.say(rooms.beside) for _ in range(4)]
    with changed(database, "rooms", {"_id": rooms.broken}, pair=["one alone"]):
        await broker.command(beside[0], strangers[0], beside[1], strangers[1], beside[2], strangers[2], beside[3])
        replies = await broker.replies(7)
        assert [replies[one["id"]]["seq"] for one in beside] == [2, 3, 4, 5]
        assert {replies[one["id"]]["code"] for one in strangers} == {Code.UNAVAILABLE}
        assert await broker.fill(rooms.elsewhere, rooms.ann.id, ["here, too"]) == 2
        assert len(await letters(stack, rooms.broken)) == 3
        assert await failures(stack) > before
    await replay(stack, rooms.broken)

    async def joined() -> bool:
        log = read_store(stack.mongodb.url, [rooms.broken])[rooms.broken]
        return [event["sender"] for event in log[1:]] == [one["sender"] for one in strangers]

    await until(joined)


@pytest.mark.usefixtures("unharmed")
async def test_who_cannot_be_judged_is_dead_lettered_and_the_others_of_the_room_go_on(
    stack: Stack, database: Documents, broker: BrokerClient, rooms: Rooms
) -> None:
    bob = new_person("bob").id
    member = {"_id": {"room": rooms.broken, "user": bob}, "state": "member", "role": "member", "seq": 1}
    database.members.insert_one({**member, "muted": "since yesterday"})
    said = [send_command(rooms.broken, user, "hi") for user in (rooms.ann.id, bob) * 10]
    await broker.command(*said)
    replies = await broker.replies(20)
    assert [replies[one["id"]]["seq"] for one in said[::2]] == list(range(2, 12))
    assert {replies[one["id"]]["code"] for one in said[1::2]} == {Code.UNAVAILABLE}
    assert len(await letters(stack, rooms.broken)) == 10


@pytest.mark.usefixtures("unharmed")
async def test_what_the_store_does_not_take_is_dead_lettered_and_what_was_sent_with_it_is_stored_in_order(
    stack: Stack, database: Documents, broker: BrokerClient, rooms: Rooms
) -> None:
    said = {room: [rooms.say(room, f"{number}") for number in range(20)] for room in rooms.all}
    unstorable = said[rooms.broken][7]
    unstorable["text"] = UNSTORABLE
    with taking_only(database, events={"text": {"$ne": UNSTORABLE}}):
        for start in range(0, 20, 5):
            for room in (rooms.broken, rooms.beside):
                await broker.command(*said[room][start : start + 5])
            await broker.command(*said[rooms.elsewhere][start : start + 5])
        replies = await broker.replies(60)
        assert replies.pop(unstorable["id"])["code"] == Code.UNAVAILABLE
        assert {reply["type"] for reply in replies.values()} == {"accepted"}
        assert len(await letters(stack, rooms.broken)) == 1
    for room, commands in said.items():
        texts = [event.get("text") for event in read_store(stack.mongodb.url, [room])[room]][1:]
        assert texts == [command["text"] for command in commands if command is not unstorable]
    await replay(stack, rooms.broken)

    async def stored() -> bool:
        return read_store(stack.mongodb.url, [rooms.broken])[rooms.broken][-1].get("text") == UNSTORABLE

    await until(stored)


@pytest.mark.usefixtures("unharmed")
async def test_a_store_that_takes_nothing_at_all_is_waited_for(
    stack: Stack, database: Documents, broker: BrokerClient, rooms: Rooms
) -> None:
    said = [rooms.say(rooms.broken), rooms.say(rooms.beside), rooms.say(rooms.broken)]
    before = await failures(stack, "store")

    async def tried() -> bool:
        return await failures(stack, "store") >= before + 3

    with taking_only(database, events={"_id": "no"}, meta={"_id": "no"}):
        await broker.command(*said)
        await until(tried)
    replies = await broker.replies(3)
    assert [replies[one["id"]]["seq"] for one in said] == [2, 2, 3]
    assert await letters(stack, rooms.broken) == []
