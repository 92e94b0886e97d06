"""Events to `people`, who can be found by name: who enters a room has signed in, bots as well. Follows the commits.

Gateways tell of sign-ins, too (`warren_persistence.queries`). A name counts from when it was told, whoever told it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, UpdateOne
from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import portions, translated

from warren_persistence.domain.registry import entry_of
from warren_persistence.log.structural import PORTION, Entry, StructuralEvents
from warren_persistence.projections.folding import folded, terms
from warren_persistence.projections.guarded import update_if

_LAST = "\U0010ffff"
"""Sorts after all that follows a prefix."""
_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
"""When a name was learned that an older version has written down without saying when."""


class PeopleProjection:
    """Who has ever signed in, by the last name they went by."""

    name = "people"
    version = 1
    """Raise it when people are found by something else than before."""

    def __init__(self, database: Any) -> None:
        self._people = database.people

    async def project(self, events: Iterable[Entry]) -> None:
        """Take in these events; in any order, and as often as one likes. Raises StoreUnavailable."""
        found = [known_as(event.sender, event.name, event.at) for _, event in events if entry_of(event).signed_in]
        if found:
            with translated():
                await self._people.bulk_write(found, ordered=False)

    async def rebuild(self, upto: Mapping[RoomId, Seq], log: StructuralEvents) -> None:
        """Take in all events of these rooms once more. Raises StoreUnavailable."""
        async for events in log.of(upto):
            await self.project(events)

    async def refold(self) -> None:
        """Make anew what people are found by, those included who have signed in and entered no room."""
        cursor = self._people.find({"name": {"$type": "string"}}, {"name": 1})
        async for portion in portions(cursor, PORTION):
            found = [({"_id": one["_id"]}, terms(one["_id"], one["name"])) for one in portion]
            with translated():
                await self._people.bulk_write([UpdateOne(one, {"$set": {"terms": them}}) for one, them in found])


class People:
    """Who has ever signed in. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._people = database.people

    async def prepare(self) -> None:
        """Make the index."""
        await self._people.create_index([("terms", ASCENDING)], name="terms")

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        """Return the names that people last went by; who has never signed in is missing."""
        with translated():
            cursor = self._people.find({"_id": {"$in": list(users)}})
            return {found["_id"]: found["name"] async for found in cursor}

    async def search(self, prefix: str, limit: int) -> dict[str, str]:
        """Return the names, by user id, of people whose id, name or the rest of it from a word on begins so, folded.

        In the order of what they are found by, which is the index's: a short prefix costs no more than it finds.
        """
        wanted = folded(prefix)
        if not wanted:
            return {}
        # Both bounds of one element: two conditions would bound the index by one of them alone.
        within = {"$elemMatch": {"$gte": wanted, "$lt": wanted + _LAST}}
        with translated():
            cursor = self._people.find({"terms": within}).hint("terms").limit(limit)
            return {found["_id"]: found["name"] async for found in cursor}

    async def note(self, people: Mapping[str, str], at: datetime) -> None:
        """Take note that these people, by id, went by these names at that moment."""
        if people:
            with translated():
                writes = [known_as(user, name, at) for user, name in people.items()]
                await self._people.bulk_write(writes, ordered=False)


def known_as(user: str, name: str, at: datetime) -> UpdateOne:
    """Return what it makes of `people` that somebody went by this name at that moment; the last one holds."""
    newer = {"$lt": [{"$ifNull": ["$at", _BEFORE]}, at]}
    return update_if(user, newer, {"name": name, "terms": terms(user, name), "at": at})
