"""Reads from the logs the events that change what is looked up, past all other events between them."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from pymongo import ASCENDING, DESCENDING
from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import portions, translated

from warren_persistence.domain.registry import PROJECTED
from warren_persistence.domain.room import LogEvent
from warren_persistence.log.documents import all_known
from warren_persistence.log.indexes import TypesIndex

PORTION = 500
"""Documents read at once."""
Entry = tuple[RoomId, LogEvent]
"""A room and an event of its log."""


class StructuralEvents:
    """The structural events of all logs, by room and seq. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._events = database.events
        self._index = TypesIndex(database, "structural", PROJECTED)
        self._types = self._index.types

    async def prepare(self) -> None:
        """Make the index."""
        await self._index.prepare()

    async def after(self, seqs: Mapping[RoomId, Seq]) -> AsyncIterator[list[Entry]]:
        """Yield the events after these seqs in these rooms, each room's in order, PORTION at most at a time."""
        if not seqs:
            return  # MongoDB takes no empty `$or`
        ranges = [{"room": room, "seq": {"$gt": seq}} for room, seq in seqs.items()]
        cursor = self._events.find({"type": self._types, "$or": ranges}).sort("seq", ASCENDING).batch_size(PORTION)
        async for found in portions(cursor, PORTION):
            yield all_known(found)

    async def of(self, rooms: Collection[RoomId]) -> AsyncIterator[list[Entry]]:
        """Yield all events of these rooms, each room's in order, PORTION at most at a time."""
        cursor = self._events.find(self._in(rooms)).sort([("room", ASCENDING), ("seq", ASCENDING)]).batch_size(PORTION)
        async for found in portions(cursor, PORTION):
            yield all_known(found)

    async def last(self, rooms: Collection[RoomId]) -> dict[RoomId, Seq]:
        """Return the seqs of these rooms' last structural events; a room that has none is missing."""
        pipeline: list[dict[str, Any]] = [
            {"$match": self._in(rooms)},
            {"$sort": {"room": DESCENDING, "seq": DESCENDING}},
            {"$group": {"_id": "$room", "seq": {"$first": "$seq"}}},
        ]
        with translated():
            return {found["_id"]: found["seq"] async for found in self._events.aggregate(pipeline)}

    async def count(self, rooms: Collection[RoomId]) -> int:
        """Return how many there are in these rooms."""
        with translated():
            return int(await self._events.count_documents(self._in(rooms)))

    def _in(self, rooms: Collection[RoomId]) -> dict[str, Any]:
        return {"type": self._types, "room": {"$in": list(rooms)}}

    async def rooms(self, after: RoomId, limit: int) -> list[RoomId]:
        """Return the first rooms by id that have any, those that sort after `after`."""
        # Not `distinct`: it knows no limit, and its answer would be one document, of 16 MB at most.
        found: list[RoomId] = []
        with translated():
            while len(found) < limit:
                later = {"type": self._types, "room": {"$gt": found[-1] if found else after}}
                one = await self._events.find_one(later, {"_id": 0, "room": 1}, sort=[("room", ASCENDING)])
                if one is None:
                    break
                found.append(one["room"])
        return found
