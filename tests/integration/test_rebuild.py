"""Projections made anew: from what the version before left, and by an operator while people chat."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
from bson import json_util
from harness.background import background_tasks
from harness.stack import Stack
from integration.conftest import Place
from integration.test_projections import rebuilt
from warren.contract.events import EVENT
from warren_persistence.domain.decide import apply
from warren_persistence.domain.room import NOBODY, Room
from warren_persistence.projections.projector import NAMES
from warren_persistence.store import Store, connect

BEFORE = Path(__file__).parent / "dumps" / "before_checkpoints.json"
"""A database as the last version without checkpoints left it, the last event of `garden` stored and not projected."""
Documents = list[dict[str, Any]]
MESSAGES = 100
"""What is said at least while projections are made anew."""


@pytest.fixture
def dump() -> dict[str, Documents]:
    """The documents of the dump, by collection."""
    found: dict[str, Documents] = json_util.loads(BEFORE.read_text(), json_options=json_util.JSONOptions(tz_aware=True))
    return found


@pytest.fixture
async def restored(stack: Stack, dump: dict[str, Documents]) -> AsyncIterator[Store]:
    """A database of the test's own with what is in the dump."""
    url = stack.mongodb.url.replace("/warren", "/before_checkpoints", 1)
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url)
    with client:
        database = client.get_default_database()
        client.drop_database(database.name)
        for name, documents in dump.items():
            database[name].insert_many(documents)
    store = connect(url)
    yield store
    store.close()


def replayed(events: Documents) -> dict[str, Room]:
    """Return what the logs say."""
    rooms: dict[str, Room] = {}
    for document in sorted(events, key=lambda one: int(one["seq"])):
        apply(rooms.setdefault(document["room"], Room(document["room"])), EVENT.validate_python(document))
    return rooms


async def projected(store: Store, expected: dict[str, Room]) -> dict[str, Room]:
    """Return what the store says of these rooms, and of the people that are known there."""
    rooms = await store.load_rooms(list(expected))
    for name, room in expected.items():
        found = await store.rooms.memberships((name, user) for user in room.members)
        rooms[name].members = {user: found.get((name, user), NOBODY) for user in room.members}
    return rooms


@pytest.mark.parametrize("first", ["the rooms are used", "all are made anew"])
async def test_what_the_version_before_left_is_read(first: str, restored: Store, dump: dict[str, Documents]) -> None:
    expected = replayed(dump["events"])
    assert await restored.prepare() == next(one["epoch"] for one in dump["meta"] if one["_id"] == "epoch")
    if first != "the rooms are used":
        await rebuilt(restored)
    assert await projected(restored, expected) == expected
    await rebuilt(restored)
    assert await restored.projector.follow(100) == 0
    assert await projected(restored, expected) == expected
    assert await restored.people.search("nunez", 5) == {"zoe": "Zoë Nuñez"}
    keys = [(one["room"], one["sender"], one["key"]) for one in dump["events"]]
    found = await restored.appender.find_keys(keys)
    assert [found[key].seq for key in keys] == [one["seq"] for one in dump["events"]]


async def rebuild(stack: Stack, *projections: str) -> None:
    """Run the operator's command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warren_persistence", "rebuild", *projections,
        env={**os.environ, "WARREN_MONGO_URL": stack.mongodb.url}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_an_operator_has_projections_made_anew_while_people_chat(
    stack: Stack, place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Nobody is refused meanwhile what they may do, nor let do what they may not; what was written by hand is gone."""
    room, said = f"{gateways[0]}/v1/rooms/{place.room}", itertools.count(1)
    enough = asyncio.Event()

    async def chat() -> None:
        for number in said:
            answer = await http.post(f"{room}/messages", json={"text": str(number)}, headers=place.bob.headers)
            assert answer.is_success, answer.text
            stranger = await http.post(f"{room}/messages", json={"text": "?"}, headers=place.eve.headers)
            assert stranger.status_code == 403
            left = await http.put(f"{room}/members/{place.eve.id}", headers=place.ann.headers)
            back = await http.delete(f"{room}/members/{place.eve.id}", headers=place.ann.headers)
            assert (left.status_code, back.status_code) == (200, 200)
            if number == MESSAGES:
                enough.set()

    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(stack.mongodb.url)
    with client:
        database = client.get_default_database()
        before = sorted(database.members.find({"_id.room": place.room}), key=repr)
        async with background_tasks(chat()):
            await rebuild(stack, *NAMES)
            await enough.wait()
            await rebuild(stack, *NAMES)
        # Nobody of whom the log says nothing more is any different.
        mine = {"_id": {"room": place.room, "user": place.bob.id}}
        fields = next(one for one in before if one["_id"] == mine["_id"])
        assert {name: (database.members.find_one(mine) or {})[name] for name in fields} == fields
        database.members.update_one(mine, {"$set": {"role": "owner", "muted": None}})
        await rebuild(stack, "access")
        assert {name: (database.members.find_one(mine) or {})[name] for name in fields} == fields
    answer = await http.get(f"{room}/members", headers=place.bob.headers)
    assert {one["user"]: one["role"] for one in answer.json()["members"]} == {
        place.ann.id: "owner",
        place.bob.id: "member",
    }


async def test_a_projection_that_there_is_not_is_no_command() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warren_persistence", "rebuild", "everything", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "choose from" in said.decode()
