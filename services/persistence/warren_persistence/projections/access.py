"""Events to `rooms` and `members`, which access depends on: written inside the commit, and by whoever loads a room."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any
from zlib import crc32

from pymongo import UpdateOne
from warren.contract.events import RoomCreated
from warren.contract.ids import RoomId, Seq, UserId
from warren.ops.mongo import translated

from warren_persistence.domain.decide import member_changes, room_changes
from warren_persistence.domain.event_type import Changes
from warren_persistence.domain.room import NOBODY, LogEvent
from warren_persistence.log.structural import PORTION, Entry, StructuralEvents
from warren_persistence.projections.guarded import update_before, update_up_to

SLICE = 50_000
"""Structural events above which rooms are made anew in several passes, each with some of the people in memory: some
25 MB of them."""


class AccessProjection:
    """What rooms are, and who is what to them."""

    name = "access"
    version = 1
    """Raise it when a type is added, or an event changes something else than before: every room is made anew then."""

    def __init__(self, database: Any) -> None:
        self._rooms = database.rooms
        self._members = database.members

    async def project(self, events: Iterable[Entry]) -> None:
        """Take in these events, which follow in each room what was taken in. Raises StoreUnavailable."""
        found = Folded()
        for room, event in events:
            found.add(room, event)
        await self._write(self._rooms, [update_before(room, seq, new) for room, (new, seq) in found.rooms.items()])
        await self._write(
            self._members,
            [update_before(_member(*pair), seq, new) for pair, (new, seq) in found.members.items()],
        )

    async def rebuild(self, upto: Mapping[RoomId, Seq], log: StructuralEvents) -> None:
        """Write over what stands there of these rooms, but for what is newer than `upto`. Raises StoreUnavailable."""
        passes = 1 + await log.count(upto) // SLICE
        for number in range(passes):
            found = Folded(lambda user, number=number: crc32(user.encode()) % passes == number)  # type: ignore[misc]
            async for events in log.of(upto):
                for room, event in events:
                    if event.seq <= upto.get(room, 0):
                        found.add(room, event)
            await self._write(
                self._rooms, [update_up_to(room, upto[room], new, seq) for room, (new, seq) in found.rooms.items()]
            )
            await self._write(
                self._members,
                [
                    update_up_to(_member(*pair), upto[pair[0]], {**asdict(NOBODY), **new}, seq)
                    for pair, (new, seq) in found.members.items()
                ],
            )

    async def _write(self, collection: Any, updates: list[UpdateOne]) -> None:
        with translated():
            for start in range(0, len(updates), PORTION):
                await collection.bulk_write(updates[start : start + PORTION], ordered=False)


class Folded:
    """What events come to, a document each: new values of fields, and the seq of the last event that changed it."""

    def __init__(self, wanted: Callable[[UserId], bool] = lambda _: True) -> None:
        """`wanted`: of which people."""
        self.rooms: dict[RoomId, tuple[Changes, Seq]] = {}
        self.members: dict[tuple[RoomId, UserId], tuple[Changes, Seq]] = {}
        self._wanted = wanted

    def add(self, room: RoomId, event: LogEvent) -> None:
        """Add the room's next event."""
        if changes := _room_fields(event):
            before, _ = self.rooms.get(room, ({}, 0))
            self.rooms[room] = ({**before, **changes}, event.seq)
        for user, fields in member_changes(event).items():
            if self._wanted(user):
                known, _ = self.members.get((room, user), ({}, 0))
                self.members[room, user] = ({**known, **fields}, event.seq)


def _room_fields(event: LogEvent) -> Changes:
    fields = room_changes(event)
    if isinstance(event, RoomCreated):
        fields |= {"creator": event.sender, "created": event.at}
    return fields


def _member(room: RoomId, user: UserId) -> dict[str, str]:
    return {"room": room, "user": user}
