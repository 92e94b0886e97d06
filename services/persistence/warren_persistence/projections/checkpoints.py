"""How far each projection has read each room's log, and by which version of its rules.

One document a room: `{_id: room, <projection>: {version, seq}, behind?: true}`. All events up to `seq` that concern the
projection are in it. `behind` marks rooms in which something was committed that the projections which follow have yet
to read; it is a queue of rooms, so it is never longer than there are rooms.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from pymongo import ASCENDING, UpdateOne
from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import long_work, portions, translated

Versions = Mapping[str, int]
"""The version of each projection's rules, by its name."""


class Checkpoints:
    """The collection of them. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any, versions: Versions) -> None:
        self._rooms = database.checkpoints
        self._versions = versions

    async def prepare(self) -> None:
        """Make the index."""
        await self._rooms.create_index([("behind", ASCENDING)], name="behind", partialFilterExpression={"behind": True})

    async def read(self, projection: str, rooms: Collection[RoomId]) -> dict[RoomId, Seq]:
        """Return the seqs of these rooms' checkpoints, without those that older rules have made."""
        wanted = {"_id": {"$in": list(rooms)}, f"{projection}.version": {"$gte": self._versions[projection]}}
        with translated():
            found = await self._rooms.find(wanted, {projection: 1}).to_list(None)
        return {one["_id"]: one[projection]["seq"] for one in found}

    async def advance(self, projection: str, seqs: Mapping[RoomId, Seq], *, leads: bool = False) -> None:
        """Note that `projection` has read these rooms' logs up to these seqs; if it leads, that the others are behind.

        What is by other rules stays as it is: an older version cannot know what it has passed over, and a newer one
        makes the room anew. A room's first event makes its document.
        """
        ours, version = {}, self._versions[projection]
        for room, seq in seqs.items():
            same = {"$eq": [{"$ifNull": [f"${projection}.version", version]}, version]}
            further = {"version": version, "seq": {"$max": [{"$ifNull": [f"${projection}.seq", 0]}, seq]}}
            ours[room] = {projection: {"$cond": [same, further, f"${projection}"]}}
        await self._write(ours, self._versions if leads else {})

    async def rebuilt(self, projection: str, seqs: Mapping[RoomId, Seq], *, leads: bool = False) -> None:
        """Note that `projection` has been made anew up to these seqs, unless newer rules were there first."""
        version = self._versions[projection]
        newer = {"$gt": [{"$ifNull": [f"${projection}.version", 0]}, version]}
        made = {
            room: {projection: {"$cond": [newer, f"${projection}", _at(version, seq)]}} for room, seq in seqs.items()
        }
        await self._write(made, dict.fromkeys(self._versions, 0) if leads else {})

    async def reset(self, projection: str) -> None:
        """Have `projection` be made anew in every room."""
        with translated(), long_work():
            await self._rooms.update_many({}, {"$set": {projection: _at(0, 0)}})

    async def behind(self, portion: int) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the documents of rooms that the following projections have yet to read, so many at a time."""
        async for found in portions(self._rooms.find({"behind": True}), portion):
            yield found

    async def caught_up(self, found: Collection[Mapping[str, Any]], leading: str) -> int:
        """Note that nothing is behind in these rooms; return in how many the leading one has not gone on meanwhile."""
        if not found:
            return 0
        writes = [
            UpdateOne({"_id": one["_id"], f"{leading}.seq": one[leading]["seq"]}, {"$unset": {"behind": ""}})
            for one in found
        ]
        with translated():
            return int((await self._rooms.bulk_write(writes, ordered=False)).matched_count)

    async def _write(self, fields: Mapping[RoomId, Mapping[str, Any]], behind: Versions) -> None:
        """`behind`: the rules by which projections begin that have read nothing yet; the others are behind then."""
        first: dict[str, Any] = {name: {"$ifNull": [f"${name}", _at(by, 0)]} for name, by in behind.items()}
        if behind:
            first["behind"] = True
        writes = [
            UpdateOne({"_id": room}, [{"$set": {**first, **found}}], upsert=True) for room, found in fields.items()
        ]
        if writes:
            with translated():
                await self._rooms.bulk_write(writes, ordered=False)


def _at(version: int, seq: Seq) -> dict[str, int]:
    return {"version": version, "seq": seq}
