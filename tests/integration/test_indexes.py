"""Indexes of some types of events: one for each set of types, by whatever name a version before has made it."""

import itertools
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from harness.concurrency import run_concurrently
from harness.stack import Stack
from warren.contract.events import NUMBERED
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren_persistence.domain.registry import PROJECTED
from warren_persistence.log.indexes import KEYS, TypesIndex
from warren_persistence.store import Store, connect

_NAMES = itertools.count(1)
OF_BEFORE = {f"structural_{len(PROJECTED)}": PROJECTED, f"numbered_{len(NUMBERED)}": NUMBERED}
"""What versions before called the indexes, and the types in them."""


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[Store]:
    """A database of the test's own, with nothing in it."""
    parts = urlsplit(stack.mongodb.url)
    found = connect(urlunsplit(parts._replace(path=f"/indexes{next(_NAMES)}")))
    yield found
    found.close()


async def of_types(store: Store) -> dict[str, Any]:
    """Return the types in each index of some types alone, by its name."""
    found = await store.database.events.index_information()
    filters = {name: one.get("partialFilterExpression", {}) for name, one in found.items()}
    return {name: one["type"]["$in"] for name, one in filters.items() if "type" in one}


async def test_replicas_that_start_together_make_one_index_for_each_set(store: Store, stack: Stack) -> None:
    other = Store(None, store.database)
    await run_concurrently(store.prepare(), other.prepare())
    await store.prepare()
    assert sorted((await of_types(store)).values()) == sorted(map(sorted, OF_BEFORE.values()))


async def test_an_index_by_the_name_of_a_version_before_is_taken(store: Store) -> None:
    """It is the same but for its name: MongoDB makes no second one of it, and refuses to be asked."""
    for name, types in OF_BEFORE.items():
        only = {"type": {"$in": sorted(types)}}
        await store.database.events.create_index(KEYS, name=name, partialFilterExpression=only)
    await store.prepare()
    assert (await of_types(store)).keys() == OF_BEFORE.keys()
    message = {"room": "a", "seq": 1, "number": 1, "type": "message", "sender": "ann", "text": "hi"}
    await store.database.events.insert_one({**message, "id": new_id(), "key": "k", "name": "Ann", "at": utc_now()})
    assert [found["text"] for found in await store.log.messages("a", None, None, 1, 10)] == ["hi"]


async def test_another_set_of_as_many_types_has_an_index_of_its_own(store: Store) -> None:
    """That of a version before, by a name that says how many there are."""
    name = f"numbered_{len(NUMBERED)}"
    others = [f"other{number}" for number in range(len(NUMBERED))]
    await store.database.events.create_index(KEYS, name=name, partialFilterExpression={"type": {"$in": others}})
    await store.prepare()
    assert (await of_types(store))[name] == others
    assert len(await of_types(store)) == 3


async def test_one_that_another_replica_makes_meanwhile_is_taken(store: Store) -> None:
    """By another name, between the look for it and the making."""
    index = Overtaken(store.database, "numbered", NUMBERED)
    await index.prepare()
    assert index.name == "overtaken"
    assert (await of_types(store)).keys() == {"overtaken"}


class Overtaken(TypesIndex):
    """One whose first look comes just before another replica has made it."""

    async def _made_before(self) -> str | None:
        found = await super()._made_before()
        await self._events.create_index(KEYS, name="overtaken", partialFilterExpression={"type": self.types})
        return found
