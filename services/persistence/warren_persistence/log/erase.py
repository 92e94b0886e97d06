"""Overwrites what an event says. Its place in the log stays for ever, since heads, keys and cursors hang on places."""

from typing import Any

from warren.contract.events import EVENT_TYPES
from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import translated

from warren_persistence.domain.registry import PROJECTED

KEPT_FIELDS = ("_id", "room", "seq", "number", "id", "type", "sender", "key", "at")
"""The fields that stay; besides them the document says that it is erased."""
ERASABLE = EVENT_TYPES - PROJECTED
"""The types of which no projection is made. Rights would be others if a projection were made anew without the rest."""


async def erase(database: Any, room: RoomId, seq: Seq) -> bool:
    """Leave nothing of an event but its place; return whether there is an event that this may be done to.

    It may be repeated. Raises StoreUnavailable.
    """
    place = {name: f"${name}" for name in KEPT_FIELDS}
    with translated():
        done = await database.events.update_one(
            {"room": room, "seq": seq, "type": {"$in": sorted(ERASABLE)}}, [{"$replaceWith": {**place, "erased": True}}]
        )
    return bool(done.matched_count)
