"""Events that somebody is yet to be told of: a mark that is stored with the event, and taken away when it is done."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from pymongo import ASCENDING
from warren.contract.events import EVENT_TYPES
from warren.ops.mongo import portions, translated

from warren_persistence.domain.room import LogEvent
from warren_persistence.log.documents import all_known


class Outbox:
    """The events whose notices have not been published. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._events = database.events

    async def prepare(self) -> None:
        """Make the index."""
        await self._events.create_index(
            [("unsent", ASCENDING)], name="unsent", partialFilterExpression={"unsent": True}
        )

    async def unsent(self, portion: int) -> AsyncIterator[list[tuple[str, LogEvent]]]:
        """Yield all events whose notice has not been published, so many at a time."""
        query = {"unsent": True, "type": {"$in": list(EVENT_TYPES)}}
        async for documents in portions(self._events.find(query), portion):
            yield all_known(documents)

    async def mark_sent(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Take note that the notices of these events have been published."""
        done = [{"room": room, "seq": event.seq} for room, event in events]
        if done:
            with translated():
                await self._events.update_many({"$or": done}, {"$unset": {"unsent": ""}})

    async def unmark(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Take note that these events are projected, for replicas of versions before checkpoints."""
        done = [{"room": room, "seq": event.seq} for room, event in events]
        with translated():
            await self._events.update_many({"$or": done}, {"$unset": {"unprojected": ""}})
