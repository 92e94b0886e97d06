"""Reads what stands in the logs, as clients see it."""

from collections.abc import Iterable, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING
from warren.contract.events import NUMBERED
from warren.contract.queries import Head, StoredEvent
from warren.ops.mongo import translated

from warren_persistence.domain.facts import LogPosition, Target
from warren_persistence.log.documents import as_wire
from warren_persistence.log.indexes import TypesIndex


class LogReader:
    """The logs of all rooms. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._events = database.events
        self._messages = TypesIndex(database, "numbered", NUMBERED)

    async def prepare(self) -> None:
        """Make the index of messages, by which a page costs what it has, whatever else happens in the room."""
        await self._messages.prepare()

    async def heads(self, names: Sequence[str]) -> dict[str, Head]:
        """Return where the logs end, of the rooms that have one."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"room": {"$in": list(names)}}},
            # Descending in both, so that the index `seq` is walked backwards, one step a room (DISTINCT_SCAN).
            {"$sort": {"room": DESCENDING, "seq": DESCENDING}},
            {"$group": {"_id": "$room", "head": {"$first": "$seq"}, "number": {"$first": "$number"}}},
        ]
        with translated():
            cursor = self._events.aggregate(pipeline)
            return {document["_id"]: Head.model_validate(document) async for document in cursor}

    async def range(self, room: str, after: int, upto: int, limit: int) -> list[StoredEvent]:
        """Return the events of the room after seq `after`, not beyond `upto`, oldest first."""
        with translated():
            cursor = self._events.find({"room": room, "seq": {"$gt": after, "$lte": upto}}).sort("seq", ASCENDING)
            return [as_wire(document) for document in await cursor.to_list(limit)]

    async def messages(
        self, room: str, before: int | None, after: int | None, upto: int, limit: int
    ) -> list[StoredEvent]:
        """Return up to `limit` messages up to seq `upto`, oldest first: the last before a seq, or the first after."""
        seqs = {"$lte": upto}
        if before is not None:
            seqs["$lt"] = before
        if after is not None:
            seqs["$gt"] = after
        direction = DESCENDING if after is None else ASCENDING
        query = {"room": room, "type": self._messages.types, "seq": seqs}
        with translated():
            cursor = self._events.find(query).hint(self._messages.name).sort("seq", direction).limit(limit)
            found = await cursor.to_list(limit)
        return sorted((as_wire(document) for document in found), key=lambda event: int(event["seq"]))

    async def system_events(self, room: str, after: int, upto: int, limit: int) -> list[StoredEvent]:
        """Return the last `limit` events after seq `after`, up to `upto`, that are no messages; oldest first."""
        query = {"room": room, "type": {"$nin": sorted(NUMBERED)}, "seq": {"$gt": after, "$lte": upto}}
        with translated():
            found = await self._events.find(query).sort("seq", DESCENDING).limit(limit).to_list(limit)
        return [as_wire(document) for document in reversed(found)]

    async def targets(self, places: Iterable[LogPosition]) -> dict[LogPosition, Target]:
        """Return what stands at these places of the logs; nothing is missing."""
        found = {place: {"room": place[0], "seq": place[1]} for place in places}
        if not found:
            return {}
        with translated():
            fields = {"_id": 0, "room": 1, "seq": 1, "type": 1, "sender": 1, "at": 1, "erased": 1}
            documents = await self._events.find({"$or": list(found.values())}, fields).to_list(None)
        return {
            (one["room"], one["seq"]): Target(one["type"], one["sender"], one["at"], one.get("erased", False))
            for one in documents
        }
