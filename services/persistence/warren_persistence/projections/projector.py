"""Keeps the projections at the heads of the logs: one leads, inside the commits; the others follow them.

A projection that an older version of its rules has made is made anew, room by room: of whoever loads a room first,
and of all rooms in the background. So the service serves meanwhile, and judges nothing by what the old rules made.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from warren.contract.ids import RoomId, Seq
from warren.ops.mongo import StoreUnavailable, translated

from warren_persistence.log.structural import Entry, StructuralEvents
from warren_persistence.projections.access import AccessProjection
from warren_persistence.projections.checkpoints import Checkpoints
from warren_persistence.projections.people import PeopleProjection
from warren_persistence.projections.postponed import Postponed, by_halves

TRIES = 10
"""How often rooms are made anew in which something happens meanwhile each time, before they are left for later."""
OF_BEFORE = 3
"""What versions before checkpoints look for in `meta`: without it they would make everything anew by themselves."""

NAMES = (AccessProjection.name, PeopleProjection.name)


class Projection(Protocol):
    """What events make of collections that things are looked up in. Idempotent, whoever does it how often."""

    name: str
    version: int

    async def project(self, events: Iterable[Entry]) -> None:
        """Take in these events, which follow in each room what was taken in. Raises StoreUnavailable."""

    async def rebuild(self, upto: Mapping[RoomId, Seq], log: StructuralEvents) -> None:
        """Write over what older rules have made of rooms' events, up to a seq each. Raises StoreUnavailable."""


class Projector:
    """All projections. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._meta = database.meta
        self._log = StructuralEvents(database)
        self._people = PeopleProjection(database)
        self._leading: Projection = AccessProjection(database)
        self._following: tuple[Projection, ...] = (self._people,)
        self._postponed = Postponed(clock)
        self._all = {one.name: one for one in (self._leading, *self._following)}
        self.checkpoints = Checkpoints(database, {name: one.version for name, one in self._all.items()})

    async def prepare(self) -> None:
        """Make the indexes."""
        await self._log.prepare()
        await self.checkpoints.prepare()
        await self._meta.update_one({"_id": "projections"}, {"$setOnInsert": {"version": OF_BEFORE}}, upsert=True)

    async def committed(self, events: Sequence[Entry]) -> None:
        """Take in structural events that were just stored, by who has loaded their rooms before."""
        if events:
            await self._leading.project(events)
            await self._advance(self._leading, {room: event.seq for room, event in events})

    async def load(self, rooms: Collection[RoomId]) -> None:
        """Have what access depends on agree with these rooms' logs, whatever a writer that died has left."""
        if left := await self._catch_up(self._leading, rooms):
            raise StoreUnavailable(f"{len(left)} rooms changed all the time while they were made anew")

    async def follow(self, portion: int) -> int:
        """Have the other projections read what was committed; return in how many rooms they are behind still."""
        behind, postponed = 0, set[RoomId]()
        async for found in self.checkpoints.behind(portion):
            rooms = [one["_id"] for one in found if not self._postponed.waits(one["_id"])]
            left = await by_halves(rooms, self._follow)
            self._postponed.tried(rooms, left)
            done = set(rooms) - left
            # Not counted by a query of its own: that would be one more with every commit.
            behind += len(found) - await self.checkpoints.caught_up(
                [one for one in found if one["_id"] in done], self._leading.name
            )
            postponed |= {one["_id"] for one in found if one["_id"] in self._postponed}
        self._postponed.keep(postponed)  # what is behind no more, another replica has seen to
        return behind

    async def _follow(self, rooms: Collection[RoomId]) -> set[RoomId]:
        left = set[RoomId]()
        for projection in self._following:
            left |= await self._catch_up(projection, rooms)
        return left

    async def _catch_up(self, projection: Projection, rooms: Collection[RoomId]) -> set[RoomId]:
        """Return the rooms that change too fast."""
        seqs = await self.checkpoints.read(projection.name, rooms)
        older: set[RoomId] = set()
        # The same reads for a room that does not exist, so that it takes as long.
        async for events in self._log.after({room: seqs.get(room, 0) for room in rooms}):
            older |= {room for room, _ in events if room not in seqs}
            known = [(room, event) for room, event in events if room in seqs]
            if known:
                await projection.project(known)
                await self._advance(projection, {room: event.seq for room, event in known})
        return await self._rebuild(projection, older)

    async def _advance(self, projection: Projection, seqs: Mapping[RoomId, Seq]) -> None:
        await self.checkpoints.advance(projection.name, seqs, leads=projection is self._leading)

    async def _rebuild(self, projection: Projection, rooms: Collection[RoomId]) -> set[RoomId]:
        left = set(rooms)
        for _ in range(TRIES):
            if not left:
                break
            upto = await self._log.last(left)
            await projection.rebuild(upto, self._log)
            now = await self._log.last(left)
            # Where something was committed meanwhile, it was put on top of what the old rules made.
            done = {room: seq for room, seq in upto.items() if now[room] == seq}
            await self.checkpoints.rebuilt(projection.name, done, leads=projection is self._leading)
            left = upto.keys() - done.keys()
        return left

    async def outdated(self) -> list[str]:
        """Return the names of projections that older rules have made of some rooms."""
        with translated():
            made = await self._meta.find_one({"_id": "projections"}) or {}
        return [name for name, one in self._all.items() if made.get(name, 0) < one.version]

    async def reset(self, name: str) -> None:
        """Have a projection be made anew in all rooms."""
        await self._note(name, 0)
        await self.checkpoints.reset(name)

    async def rooms(self, after: RoomId, limit: int) -> list[RoomId]:
        """Return the first rooms by id of which projections are made, those that sort after `after`."""
        return await self._log.rooms(after, limit)

    async def begin_rebuild(self, name: str) -> None:
        """Make anew what hangs on no room."""
        if self._all[name] is self._people:
            await self._people.refold()

    async def rebuild(self, name: str, rooms: Collection[RoomId]) -> set[RoomId]:
        """Make a projection anew in those of these rooms in which older rules have made it.

        Return those in which something happened meanwhile, however often it was tried.
        """
        made = await self.checkpoints.read(name, rooms)
        return await self._rebuild(self._all[name], [room for room in rooms if room not in made])

    async def end_rebuild(self, name: str) -> None:
        """Take note that nothing is left of what older rules have made."""
        await self._note(name, self._all[name].version)

    async def _note(self, name: str, version: int) -> None:
        with translated():
            await self._meta.update_one({"_id": "projections"}, {"$set": {name: version}}, upsert=True)
