"""A room that a projection fails in, or that changes all the time, holds nobody up, and is not forgotten."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest
from harness.background import background_tasks
from harness.bots import until
from harness.stack import Stack
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from warren.contract.events import EVENT
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren_persistence.projections.follower import ProjectionFollower
from warren_persistence.projections.postponed import FIRST_WAIT
from warren_persistence.projections.projector import NAMES, TRIES, Projector
from warren_persistence.projections.rebuild import Rebuild
from warren_persistence.store import Store

_NAMES = itertools.count(1)
Document = dict[str, Any]
ROOMS = ("a", "bad", "c", "d", "e")
"""One of them is to fail, wherever halves are cut."""


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Commands(monitoring.CommandListener):
    """Counts what MongoDB is asked, and does something just before it is."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.before: Callable[[], object] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.counts[event.command_name, str(event.command.get(event.command_name))] += 1
        if event.command_name == "aggregate" and self.before is not None:
            self.before()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(stack: Stack, commands: Commands, clock: Clock) -> AsyncIterator[Store]:
    """A database of the test's own."""
    parts = urlsplit(stack.mongodb.url)
    url = urlunsplit(parts._replace(path=f"/postponed{next(_NAMES)}"))
    client: Any = AsyncIOMotorClient(url, tz_aware=True, event_listeners=[commands])
    found = Store(client, client.get_default_database())
    found.projector = Projector(found.database, clock)
    await found.prepare()
    yield found
    client.close()


def created(room: str) -> Document:
    common = {"room": room, "seq": 1, "number": 0, "id": new_id(), "key": new_id(), "at": utc_now()}
    return {**common, "type": "room.created", "kind": "public", "title": room, "sender": f"of-{room}", "name": room}


def joined(room: str, seq: int) -> Document:
    return {**created(room), "seq": seq, "type": "member.joined", "user": f"u{seq}", "sender": f"u{seq}"}


async def store_old(store: Store, rooms: Sequence[str] = ROOMS) -> None:
    """Leave rooms of which no projection has been made by today's rules."""
    await store.database.events.insert_many([created(room) for room in rooms])


async def commit(store: Store, rooms: Sequence[str] = ROOMS) -> None:
    """Make rooms as the writer does."""
    await store.database.events.insert_many(documents := [created(room) for room in rooms])
    await store.load_rooms(rooms)
    await store.project((one["room"], EVENT.validate_python(one)) for one in documents)


async def refuse(store: Store, collection: str, *ids: str) -> None:
    """Have MongoDB refuse these documents from now on, and no others."""
    await store.database[collection].insert_one({"_id": "so that it is there"})
    await store.database.command("collMod", collection, validator={"_id": {"$nin": ids}})


async def made(store: Store, name: str) -> set[str]:
    """Return the rooms in which today's rules have made a projection."""
    return set(await store.projector.checkpoints.read(name, ROOMS))


async def test_what_is_made_anew_passes_a_room_by_that_fails(store: Store, clock: Clock) -> None:
    await store_old(store)
    await refuse(store, "rooms", "bad")
    rebuild = Rebuild(store.projector, "access", clock)
    await rebuild.advance()
    assert (rebuild.looked_through, rebuild.finished, len(rebuild.postponed)) == (True, False, 1)
    assert await made(store, "access") == {*ROOMS} - {"bad"}
    assert "access" in await store.projector.outdated()
    await refuse_nothing(store, "rooms")
    await rebuild.advance()
    assert not rebuild.finished, "not before its time"
    clock.now += FIRST_WAIT
    await rebuild.advance()
    assert rebuild.finished
    assert await made(store, "access") == {*ROOMS}
    assert "access" not in await store.projector.outdated()


async def refuse_nothing(store: Store, collection: str) -> None:
    await store.database.command("collMod", collection, validator={})


async def test_what_is_made_anew_passes_a_room_by_that_changes_all_the_time(
    store: Store, clock: Clock, commands: Commands
) -> None:
    """Each time when its head is read, it has another one."""
    await store_old(store)
    seqs = itertools.count(2)
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        store.database.client.address[0], store.database.client.address[1]
    )
    with client:
        events = client[store.database.name].events
        commands.before = lambda: events.insert_one(joined("bad", next(seqs)))
        rebuild = Rebuild(store.projector, "people", clock)
        await rebuild.advance()
        assert next(seqs) >= 2 * TRIES
        assert (rebuild.looked_through, rebuild.finished, len(rebuild.postponed)) == (True, False, 1)
        assert await made(store, "people") == {*ROOMS} - {"bad"}
        commands.before = None
        clock.now += FIRST_WAIT
        await rebuild.advance()
        assert rebuild.finished


async def test_a_pass_that_is_interrupted_goes_on_where_it_was(store: Store, clock: Clock) -> None:
    await store_old(store)
    rebuild = Interrupted(store.projector, "access", clock)
    with pytest.raises(InterruptedError):
        await rebuild.advance()
    await rebuild.advance()
    assert rebuild.finished
    assert rebuild.begun_after == ["", "e", "e"]


class Interrupted(Rebuild):
    """One that is broken off when it has made the first portion anew."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.begun_after: list[str] = []

    async def _look_further(self) -> None:
        self.begun_after.append(self._after)
        if len(self.begun_after) == 2:
            raise InterruptedError
        await super()._look_further()


async def test_commits_are_followed_past_a_room_that_fails(store: Store, clock: Clock) -> None:
    await commit(store)
    await refuse(store, "people", "of-bad")
    assert await store.projector.follow(3) == 1
    others = {f"of-{room}": room for room in ROOMS if room != "bad"}
    assert await store.people.names(f"of-{room}" for room in ROOMS) == others
    await refuse_nothing(store, "people")
    assert await store.projector.follow(3) == 1, "not before its time"
    clock.now += FIRST_WAIT
    assert await store.projector.follow(3) == 0
    assert await store.people.names(["of-bad"]) == {"of-bad": "bad"}


async def test_commits_are_followed_while_projections_are_made_anew(store: Store) -> None:
    """However long that takes; here it cannot come to an end."""
    await store_old(store)
    await refuse(store, "rooms", "bad")
    follower = ProjectionFollower(store.projector)
    async with background_tasks(follower.run()):
        await until(lambda: _is(made(store, "people"), {*ROOMS}))
        await commit(store, ["new"])
        follower.wake()
        await until(lambda: _is(store.people.names(["of-new"]), {"of-new": "new"}))
    assert await store.projector.outdated() == ["access"]


async def _is(found: Any, expected: object) -> bool:
    return bool(await found == expected)


async def test_what_is_behind_is_read_once_at_each_look(store: Store, commands: Commands) -> None:
    """Not read and counted: a look follows every commit that changes something."""
    for name in NAMES:
        await store.projector.end_rebuild(name)
    commands.counts.clear()
    follower = ProjectionFollower(store.projector)
    async with background_tasks(follower.run()):
        await until(lambda: _seen(commands, ("find", "checkpoints"), 1))
        follower.wake()
        await until(lambda: _seen(commands, ("find", "checkpoints"), 2))
    assert {name for name, collection in commands.counts if collection == "checkpoints"} == {"find"}


async def _seen(commands: Commands, what: tuple[str, str], times: int) -> bool:
    return commands.counts[what] >= times
