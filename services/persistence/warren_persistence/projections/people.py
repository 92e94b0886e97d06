"""Events to `people`, who can be found by name: who enters a room has signed in, bots as well. Follows the commits.

Gateways tell of sign-ins, too (`warren_persistence.queries`). A name counts from when it was told, whoever told it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import translated

from warren_persistence.domain.registry import entry_of
from warren_persistence.log.structural import PORTION, Entry, StructuralEvents
from warren_persistence.projections.folding import terms
from warren_persistence.projections.guarded import update_if

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

    async def rebuild(self, room: RoomId, upto: Seq, log: StructuralEvents) -> None:
        """Take in all of a room's events once more. Raises StoreUnavailable."""
        async for events in log.after({room: 0}):
            await self.project(entry for entry in events if entry[1].seq <= upto)

    async def refold(self) -> None:
        """Make anew what people are found by, those included who have signed in and entered no room."""
        cursor = self._people.find({"name": {"$type": "string"}}, {"name": 1})
        while True:
            with translated():
                portion = await cursor.to_list(PORTION)
            if not portion:
                return
            found = [({"_id": one["_id"]}, terms(one["_id"], one["name"])) for one in portion]
            with translated():
                await self._people.bulk_write([UpdateOne(one, {"$set": {"terms": them}}) for one, them in found])


def known_as(user: str, name: str, at: datetime) -> UpdateOne:
    """Return what it makes of `people` that somebody went by this name at that moment; the last one holds."""
    newer = {"$lt": [{"$ifNull": ["$at", _BEFORE]}, at]}
    return update_if(user, newer, {"name": name, "terms": terms(user, name), "at": at})
