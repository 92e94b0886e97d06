"""Rooms as somebody may see them, looked up for all who ask at the time in a handful of reads."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from warren.contract import queries as q
from warren.contract.events import RoomKind
from warren.contract.ids import RoomId, UserId, inbox_room
from warren.contract.wire import utc_now

from warren_persistence.domain.event_type import Denial
from warren_persistence.domain.policy import NO_SUCH_ROOM, may_read
from warren_persistence.domain.room import NOBODY, Membership
from warren_persistence.projections.rooms import membership_of, pair_of
from warren_persistence.store import Store

AT_ONCE = 100
"""Looks in one handful of reads."""

Look = tuple[RoomId, UserId]
"""A room, and who looks at it."""
Pair = tuple[UserId, UserId]
"""The two people of a direct room."""


@dataclass(frozen=True, slots=True)
class ResolvedAccess:
    """A room as somebody may see it, who stands so towards it."""

    kind: RoomKind
    title: str
    head: q.Head
    membership: Membership
    read: int = 0
    archived: bool = False
    pair: Pair | None = None


class AccessResolver:
    """Looks at rooms. While some are looked at, what comes gathers and is looked at together.

    A gateway that starts brings thousands of these at once, each of which would take four reads.
    """

    def __init__(self, store: Store, watchers: frozenset[UserId] = frozenset()) -> None:
        """`watchers`: who may read all rooms but others' inboxes, member or not."""
        self._store = store
        self._watchers = watchers
        self._waiting: dict[Look, asyncio.Future[ResolvedAccess | q.Denied]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def look(self, room: RoomId, user: UserId) -> ResolvedAccess | q.Denied:
        """Return the room as `user` may see it, or why not. Raises StoreUnavailable."""
        found = self._waiting.get((room, user))
        if found is None:
            found = self._waiting[room, user] = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on())
        return await asyncio.shield(found)

    async def look_all(self, looks: Iterable[Look]) -> dict[Look, ResolvedAccess | q.Denied]:
        """Return what each look shows.

        The heads first, then what a dead writer left, then the memberships: so whatever ended one at a seq up to the
        head is known. The same reads for a room that does not exist, so that it takes as long.
        """
        looks = list(looks)
        names = list(dict.fromkeys(room for room, _ in looks))
        heads = await self._store.log.heads(names)
        await self._store.projector.load(names)
        rooms, members = await asyncio.gather(self._store.rooms.by_name(names), self._store.rooms.members(looks))
        return {
            look: _sight(look, heads.get(look[0]), rooms.get(look[0]), members.get(look), look[1] in self._watchers)
            for look in looks
        }

    async def _look_on(self) -> None:
        try:
            while self._waiting:
                batch = {look: self._waiting.pop(look) for look in list(self._waiting)[:AT_ONCE]}
                await self._look_for(batch)
        finally:
            self._looking = None

    async def _look_for(self, batch: dict[Look, asyncio.Future[ResolvedAccess | q.Denied]]) -> None:
        try:
            found = await self.look_all(batch)
        except Exception as error:  # theirs to handle, who asked
            for future in batch.values():
                future.set_exception(error)
        else:
            for look, future in batch.items():
                future.set_result(found[look])


def read_of(member: dict[str, Any] | None) -> int:
    """Return the number up to which somebody has read, given the document of their membership."""
    return member.get("read", 0) if member else 0


def denied(why: Denial) -> q.Denied:
    """Return a denial as an answer."""
    return q.Denied(code=why[0], detail=why[1])


def _sight(
    look: Look, head: q.Head | None, room: dict[str, Any] | None, member: dict[str, Any] | None, watches: bool
) -> ResolvedAccess | q.Denied:
    name, user = look
    if name == inbox_room(user):
        return ResolvedAccess("inbox", "Inbox", head or q.Head(head=0, number=0), Membership("member"))
    if room is None or head is None:
        return denied(NO_SUCH_ROOM)
    membership = membership_of(member).at(utc_now()) if member else NOBODY
    if not watches and (why := may_read(room["kind"], membership)):
        return denied(why)
    return ResolvedAccess(
        room["kind"], room["title"], head, membership, read_of(member), room["archived"], pair_of(room)
    )
