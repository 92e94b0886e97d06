"""The end of the logs: events come in, documents go out to MongoDB, or a conflict comes back.

Two unique indexes make a room gap-free, and a key the same event for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pymongo import ASCENDING
from pymongo.errors import BulkWriteError
from warren.ops.mongo import translated

from warren_persistence.domain.plan import KeyOf, Stored
from warren_persistence.domain.room import LogEvent
from warren_persistence.log.documents import as_document, as_stored

DUPLICATE_KEY = 11_000


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stopped an insert: another event has this key, or this seq. Those before `index` are stored."""

    kind: Literal["key", "seq"]
    room: str
    index: int


class LogAppender:
    """The end of all logs. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._events = database.events

    async def prepare(self) -> None:
        """Make the indexes that hold the promises."""
        await self._events.create_index([("room", ASCENDING), ("seq", ASCENDING)], unique=True, name="seq")
        await self._events.create_index(
            [("room", ASCENDING), ("key", ASCENDING), ("sender", ASCENDING)], unique=True, name="key"
        )

    async def append(self, events: Sequence[tuple[str, LogEvent, int]]) -> Conflict | None:
        """Insert (room, event, message count) in order, with majority; stop at the first that conflicts.

        The unique index on (room, seq) is the fence against a writer that was paused and has a successor by now;
        the one on (room, key, sender) keeps keys unique for ever. An unordered insert would leave gaps.
        """
        if not events:
            return None
        try:
            with translated():
                await self._events.insert_many([as_document(*event) for event in events], ordered=True)
        except BulkWriteError as error:
            return _conflict(error, events)
        return None

    async def find_keys(self, keys: Iterable[KeyOf]) -> dict[KeyOf, Stored]:
        """Return the events stored under these keys."""
        wanted = set(keys)
        by_sender: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for room, sender, key in wanted:
            by_sender[room, sender].append(key)
        # Each sender's own alone: a key is whatever people choose, and a thousand of one room may have chosen the same.
        ways = [{"room": room, "sender": sender, "key": {"$in": found}} for (room, sender), found in by_sender.items()]
        if not ways:
            return {}
        with translated():
            documents = await self._events.find({"$or": ways}).hint("key").to_list(None)
        return {(one["room"], one["sender"], one["key"]): as_stored(one) for one in documents}


def _conflict(error: BulkWriteError, events: Sequence[tuple[str, LogEvent, int]]) -> Conflict:
    failure = error.details["writeErrors"][0]  # without any it is StoreUnavailable
    if failure["code"] != DUPLICATE_KEY:
        raise error
    kind: Literal["key", "seq"] = "seq" if "seq" in failure["keyPattern"] else "key"
    return Conflict(kind, events[failure["index"]][0], failure["index"])
