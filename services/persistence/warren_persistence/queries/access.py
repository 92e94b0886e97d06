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
"""Lookups in one handful of reads."""

Lookup = tuple[RoomId, UserId]
"""A room, and who asks for it."""
Pair = tuple[UserId, UserId]
"""The two people of a direct room."""


@dataclass(frozen=True, slots=True)
class ResolvedAccess:
    """A room as somebody with this membership may see it."""

    kind: RoomKind
    title: str
    head: q.Head
    membership: Membership
    read: int = 0
    archived: bool = False
    pair: Pair | None = None


class AccessResolver:
    """Resolves accesses. While some are being resolved, what comes gathers and is resolved together.

    A gateway that starts brings thousands of these at once, each of which would take four reads.
    """

    def __init__(self, store: Store, watchers: frozenset[UserId] = frozenset()) -> None:
        """`watchers`: who may read all rooms but others' inboxes, member or not."""
        self._store = store
        self._watchers = watchers
        self._waiting: dict[Lookup, asyncio.Future[ResolvedAccess | q.Denied]] = {}
        self._resolving: asyncio.Task[None] | None = None

    async def resolve(self, room: RoomId, user: UserId) -> ResolvedAccess | q.Denied:
        """Return the room as `user` may see it, or why not. Raises StoreUnavailable."""
        found = self._waiting.get((room, user))
        if found is None:
            found = self._waiting[room, user] = asyncio.get_running_loop().create_future()
        if self._resolving is None:
            self._resolving = asyncio.create_task(self._resolve_waiting())
        return await asyncio.shield(found)

    async def resolve_all(self, lookups: Iterable[Lookup]) -> dict[Lookup, ResolvedAccess | q.Denied]:
        """Return what each lookup finds.

        The heads first, then what a dead writer left, then the memberships: so whatever ended one at a seq up to the
        head is known. The same reads for a room that does not exist, so that it takes as long.
        """
        lookups = list(lookups)
        names = list(dict.fromkeys(room for room, _ in lookups))
        heads = await self._store.log.heads(names)
        await self._store.projector.load(names)
        rooms, members = await asyncio.gather(self._store.rooms.by_name(names), self._store.rooms.members(lookups))
        return {
            (name, user): _resolved(
                name, user, heads.get(name), rooms.get(name), members.get((name, user)), watches=user in self._watchers
            )
            for name, user in lookups
        }

    async def _resolve_waiting(self) -> None:
        try:
            while self._waiting:
                batch = {lookup: self._waiting.pop(lookup) for lookup in list(self._waiting)[:AT_ONCE]}
                await self._resolve_batch(batch)
        finally:
            self._resolving = None

    async def _resolve_batch(self, batch: dict[Lookup, asyncio.Future[ResolvedAccess | q.Denied]]) -> None:
        try:
            found = await self.resolve_all(batch)
        except Exception as error:  # theirs to handle, who asked
            for future in batch.values():
                future.set_exception(error)
        else:
            for lookup, future in batch.items():
                future.set_result(found[lookup])


def read_of(member: dict[str, Any] | None) -> int:
    """Return the number up to which somebody has read, given the document of their membership."""
    return member.get("read", 0) if member else 0


def denied(why: Denial) -> q.Denied:
    """Return a denial as an answer."""
    return q.Denied(code=why[0], detail=why[1])


def _resolved(
    name: RoomId, user: UserId, head: q.Head | None, room: dict[str, Any] | None, member: dict[str, Any] | None, *,
    watches: bool,
) -> ResolvedAccess | q.Denied:  # fmt: skip
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
