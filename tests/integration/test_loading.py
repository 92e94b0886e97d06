"""What policies ask for is read from a real database, for a whole batch at once."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from harness.stack import Stack
from warren.contract import commands as c
from warren.contract.ids import direct_room, inbox_room, new_id
from warren.contract.wire import utc_now
from warren_persistence.domain.decide import RoomCommand, apply, decide, needs_of
from warren_persistence.domain.facts import NOTHING, Needs, Target
from warren_persistence.domain.room import LogEvent, Room
from warren_persistence.log.erase import erase
from warren_persistence.store import Store, connect
from warren_persistence.writer import loading
from warren_persistence.writer.loading import load_facts


def by(sender: str, room: str) -> c.Common:
    return {"id": new_id(), "room": room, "sender": sender, "name": sender.title(), "key": new_id()}


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[Store]:
    """A database of the test's own: ann has made a room in which bob has said something, and she blocks eve."""
    parts = urlsplit(stack.mongodb.url)
    found = connect(urlunsplit(parts._replace(path=f"/loading-{new_id()}")))
    await found.prepare()
    inbox, commands = inbox_room("ann"), list[RoomCommand]()
    commands += [c.CreateRoom(**by("ann", "garden"), kind="public", title="Garden"), c.Join(**by("bob", "garden"))]
    commands += [c.Send(**by("bob", "garden"), text="hi"), c.Block(**by("ann", inbox), user="eve")]
    rooms, log = {"garden": Room("garden"), inbox: Room(inbox)}, list[tuple[str, LogEvent, int]]()
    for command in commands:
        event = decide(rooms[command.room], command, utc_now())
        assert not isinstance(event, c.Refused)
        apply(rooms[command.room], event)
        log.append((command.room, event, rooms[command.room].number))
    assert await found.appender.append(log) is None
    await found.project((room, event) for room, event, _ in log)
    yield found
    found.close()


def opens(sender: str, user: str) -> c.CreateDirect:
    return c.CreateDirect(**by(sender, direct_room(sender, user)), user=user)


async def test_who_has_entered_a_room_is_known_before_their_name_is(store: Store) -> None:
    """`people` follows the commits; nobody waits for it to be written to."""
    await store.people.note({"eve": "Eve"}, utc_now())
    assert await store.people.names(["ann", "bob"]) == {}
    commands = [opens("eve", "ann"), opens("eve", "bob"), opens("bob", "eve"), opens("bob", "nobody")]
    facts = await load_facts(store, commands, {one.room: Room(one.room) for one in commands}, 1)
    assert facts.unknown == {"nobody"}
    assert facts.full == {"bob"}
    assert facts.blocks == {("ann", "eve")}


async def test_what_a_command_is_about_is_read_as_it_is_now(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command of this version needs it; the next ones do."""
    monkeypatch.setattr(loading, "needs_of", lambda _, command: Needs(target=command.reply_to))
    commands = [c.Send(**by("ann", "garden"), text="?", reply_to=seq) for seq in (2, 3, 99)]
    rooms = {"garden": Room("garden")}
    found = (await load_facts(store, commands, rooms, 10)).targets
    said = found["garden", 3]
    assert found == {
        ("garden", 2): Target("member.joined", "bob", found["garden", 2].at),
        ("garden", 3): Target("message", "bob", said.at),
    }
    assert await erase(store.database, "garden", 3)
    assert (await load_facts(store, commands, rooms, 10)).targets["garden", 3] == Target(
        "message", "bob", said.at, erased=True
    )


async def test_what_needs_nothing_costs_no_read(store: Store) -> None:
    said: Any = c.Send(**by("bob", "garden"), text="hi")
    assert needs_of(Room("garden"), said) is NOTHING
    store.close()
    await load_facts(store, [said], {"garden": Room("garden")}, 10)
