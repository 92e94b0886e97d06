"""What is looked up is what the logs say, whoever projects it, however often, and whatever an older version left."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest
from harness.concurrency import run_concurrently
from harness.rights import UPON, Cell, new_scene
from harness.stack import Stack
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from warren.contract.commands import Refused
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren.ops.mongo import StoreUnavailable, translated
from warren_persistence.domain.decide import apply, decide
from warren_persistence.domain.room import NOBODY, LogEvent, Room
from warren_persistence.log.structural import PORTION
from warren_persistence.projections.rebuild import rebuild_all
from warren_persistence.store import Store, connect

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
_NAMES = itertools.count(1)


@pytest.fixture
def database(stack: Stack) -> str:
    """Return the URL of a database of the test's own."""
    parts = urlsplit(stack.mongodb.url)
    return urlunsplit(parts._replace(path=f"/projections{next(_NAMES)}"))


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    found = connect(database)
    await found.prepare()
    yield found
    found.close()


def lived(seed: int) -> tuple[Room, list[tuple[str, LogEvent, int]]]:
    """Return a room in which much has happened, and its log as the store takes it."""
    chance = random.Random(seed)
    scene, commands = new_scene("public")
    room, log = Room(scene.room), list[tuple[str, LogEvent, int]]()
    memberships = list(scene.people)
    for _ in range(150):
        if not commands:
            command, target, actor = chance.choice(UPON), chance.choice(memberships), chance.choice(memberships)
            extra = Cell("public", chance.choice([command, "join", "leave", "send"]), target, actor, "")
            commands.append(scene.command(extra))
        event = decide(room, commands.pop(0), utc_now())
        if not isinstance(event, Refused):
            apply(room, event)
            log.append((room.name, event, room.number))
    return room, log


async def rebuilt(store: Store) -> None:
    """Make anew what is by older rules, as each replica does in the background."""
    for name in await store.projector.outdated():
        assert await rebuild_all(store.projector, name)


async def looked_up(store: Store, room: Room) -> Room:
    """Return the room as the store has it, with the people that the other one knows."""
    found = (await store.load_rooms([room.name]))[room.name]
    memberships = await store.rooms.memberships([(room.name, user) for user in room.members])
    found.members = {user: memberships.get((room.name, user), NOBODY) for user in room.members}
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_two_replicas_that_project_the_same_side_by_side(seed: int, database: str, store: Store) -> None:
    """One does it event by event, the other all at once, a third never gets to it; the order is the log's."""
    room, entries = lived(seed)
    log = [(name, event) for name, event, _ in entries]
    assert await store.appender.append(entries) is None
    other = connect(database)
    try:
        cut = len(log) * 2 // 3

        async def one_by_one() -> None:
            for entry in log[:cut]:
                await store.project([entry])

        await run_concurrently(one_by_one(), other.project(log[:cut]))
        # Said again, by one that was paused in between.
        await other.project(log[: cut // 2])
        assert await looked_up(store, room) == room
    finally:
        other.close()


def old_version(database: str) -> None:
    """Leave what the version before roles left: projections that know neither roles nor archives."""
    log: list[dict[str, Any]] = [
        {"type": "room.created", "sender": "ann", "kind": "private", "title": "Garden"},
        {"type": "member.joined", "sender": "bob", "user": "bob"},
        {"type": "message", "sender": "bob", "text": "hi", "number": 1},
    ]
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(database)
    with client:
        found = client.get_default_database()
        for seq, event in enumerate(log, start=1):
            common = {"room": "garden", "seq": seq, "id": new_id(), "name": "N", "key": new_id(), "at": utc_now()}
            found.events.insert_one({"number": 0, **common, **event})
        found.rooms.insert_one({"_id": "garden", "kind": "private", "title": "Garden", "creator": "ann"})
        for user, seq in (("ann", 1), ("bob", 2)):
            found.members.insert_one({"_id": {"room": "garden", "user": user}, "seq": seq, "read": 1})


def later_version(database: str, room: str) -> None:
    """Put into a room what only a later version knows: an event of another type, and one of another shape."""
    common = {
        "room": room,
        "sender": "bob",
        "name": "N",
        "unprojected": True,
        "unsent": True,
        "number": 1,
        "at": utc_now(),
    }
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(database)
    with client:
        for seq, fields in (
            (4, {"type": "room.painted", "colour": "red"}),
            (5, {"type": "member.role", "role": "bard"}),
        ):
            found = client.get_default_database().events
            found.insert_one({**common, "seq": seq, "id": new_id(), "key": f"later{seq}", **fields})


async def test_what_only_a_later_version_knows_passes_through(database: str) -> None:
    """In a roll-out the old replicas read, judge, project and make anew what they know, and leave the rest as it is."""
    old_version(database)
    later_version(database, "garden")
    store = connect(database)
    try:
        async with asyncio.timeout(WITHIN):
            await store.prepare()
        room = (await store.load_rooms(["garden"]))["garden"]
        assert (room.head, room.kind, room.owners) == (5, "private", 1)
        assert [found async for portion in store.outbox.unsent(100) for found in portion] == []
        found = await store.appender.find_keys([("garden", "bob", "later4"), ("garden", "bob", "later5")])
        assert {(stored.seq, stored.event) for stored in found.values()} == {(4, None), (5, None)}
        events = await store.log.range("garden", 3, 5, 10)
        assert [(event["type"], event.get("colour")) for event in events] == [
            ("room.painted", "red"),
            ("member.role", None),
        ]
        assert [note["seq"] for note in await store.log.system_events("garden", 3, 5, 10)] == [4, 5]
    finally:
        store.close()


async def test_what_takes_long_at_the_start_is_not_cut_short(database: str) -> None:
    """An index over a large log is no query. What is left to be made knows no bound of ten seconds."""
    old_version(database)
    asked = Limits()
    client: Any = AsyncIOMotorClient(database, tz_aware=True, timeoutMS=10_000, event_listeners=[asked])
    store = Store(client, client.get_default_database())
    try:
        await store.prepare()
        await store.load_rooms(["garden"])
    finally:
        store.close()
    assert min(asked.milliseconds["createIndexes"]) > 3_600_000
    assert max(asked.milliseconds["aggregate"]) <= 10_000


class Limits(monitoring.CommandListener):
    """Takes note of how long MongoDB is given for its commands, in milliseconds."""

    def __init__(self) -> None:
        self.milliseconds: defaultdict[str, list[float]] = defaultdict(list)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.milliseconds[event.command_name].append(event.command.get("maxTimeMS", 0))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


async def test_what_an_older_version_projected_is_made_anew(database: str) -> None:
    old_version(database)
    replicas = [connect(database), connect(database)]
    try:
        epochs = await run_concurrently(*(replica.prepare() for replica in replicas))
        assert len(set(epochs)) == 1
        store, another = replicas
        room = (await store.load_rooms(["garden"]))["garden"]
        assert (room.kind, room.archived, room.owners, room.head, room.number) == ("private", False, 1, 3, 1)
        memberships = await store.rooms.memberships([("garden", "ann"), ("garden", "bob")])
        assert [memberships["garden", user].role for user in ("ann", "bob")] == ["owner", "member"]
        assert [found["read"] for found in await store.rooms.rooms_of("bob", 10)] == [1]
        await run_concurrently(rebuilt(store), rebuilt(another))
        assert await store.people.names(["bob"]) == {"bob": "N"}
        # And once is enough.
        assert await another.prepare() == epochs[0]
        assert await another.projector.outdated() == []
    finally:
        for replica in replicas:
            replica.close()


async def test_however_many_rooms_there_are_they_are_made_anew(database: str) -> None:
    """Their ids together are more than MongoDB puts into one document. (Long ones, so that fewer rooms do.)"""
    count, length = 1_700, 10_000
    common = {"type": "room.created", "kind": "public", "title": "T", "sender": "ann", "name": "N", "key": "k"}
    at = utc_now()
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(database)
    with client:
        client.get_default_database().events.insert_many(
            {**common, "room": f"{number:0{length}}", "seq": 1, "number": 0, "id": new_id(), "at": at}
            for number in range(count)
        )
    store = connect(database)
    try:
        await store.prepare()
        await rebuilt(store)
        last = f"{count - 1:0{length}}"
        assert (await store.load_rooms([last]))[last].owners == 1
        with pymongo.MongoClient[dict[str, Any]](database) as found:
            assert found.get_default_database().rooms.count_documents({"kind": "public"}) == count
    finally:
        store.close()


@pytest.mark.parametrize("known", [0, 1])
async def test_one_room_in_which_much_has_happened_is_read_in_portions(known: int, database: str, store: Store) -> None:
    """All of it at once would be as much memory as people have come and gone. `known`: events with a checkpoint."""
    asked = Replies()
    client: Any = AsyncIOMotorClient(database, tz_aware=True, event_listeners=[asked])
    busy, count = Store(client, client.get_default_database()), 3 * PORTION
    common = {"room": "busy", "sender": "ann", "name": "N", "unprojected": True, "number": 0, "at": utc_now()}
    found = client.get_default_database()
    entries = [
        {**common, "seq": seq, "id": new_id(), "key": f"k{seq}", "type": "member.joined", "user": f"u{seq}"}
        for seq in range(1, count + 1)
    ]
    if known:
        await found.events.insert_many(entries[:known])
        await busy.projector.load(["busy"])
    await found.events.insert_many(entries[known:])
    try:
        await busy.projector.load(["busy"])
        assert (await found.checkpoints.find_one({"_id": "busy"}))["access"]["seq"] == count
        assert await store.rooms.is_member_of(f"u{count}", ["busy"])
        assert max(asked.documents) <= PORTION
    finally:
        client.close()


async def test_a_read_that_mongodb_forgets_half_way_is_one_to_be_repeated(database: str, store: Store) -> None:
    """As one does that is restarted, or gives its place to another."""
    client: Any = AsyncIOMotorClient(database)
    found = client.get_default_database()
    await found.events.insert_many({"room": "a", "seq": seq, "key": f"k{seq}", "sender": "ann"} for seq in range(10))
    try:
        cursor = store.database.events.find({}).batch_size(2)
        await cursor.to_list(1)
        await found.command("killCursors", "events", cursors=[cursor.cursor_id])
        with pytest.raises(StoreUnavailable), translated():
            await cursor.to_list(None)
    finally:
        client.close()


class Replies(monitoring.CommandListener):
    """Takes note of how many documents MongoDB answers with."""

    def __init__(self) -> None:
        self.documents: list[int] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        self.documents.append(len(cursor.get("firstBatch", cursor.get("nextBatch", ()))))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass
