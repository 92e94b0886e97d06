"""Reads at once what the policies of one commit's commands need besides the rooms."""

import asyncio
from collections.abc import Mapping, Sequence

from warren.contract.ids import RoomId, UserId, inbox_room

from warren_persistence.domain.decide import RoomCommand, needs_of
from warren_persistence.domain.facts import NOTHING, Block, Facts
from warren_persistence.domain.room import Room
from warren_persistence.store import Store


async def load_facts(store: Store, commands: Sequence[RoomCommand], rooms: Mapping[RoomId, Room], limit: int) -> Facts:
    """Return what holds for these commands, whose rooms are given; one may be in `limit` rooms."""
    needs = [(command.room, needs_of(rooms[command.room], command)) for command in commands]
    needs = [(room, found) for room, found in needs if found is not NOTHING]
    full, unknown, blocks, targets = await asyncio.gather(
        _full(store, {found.rooms_of for _, found in needs if found.rooms_of is not None}, limit),
        _unknown(store, {found.person for _, found in needs if found.person is not None}),
        _blocks(store, {found.blocks for _, found in needs if found.blocks is not None}),
        store.log.targets({(room, found.target) for room, found in needs if found.target is not None}),
    )
    return Facts(full, unknown, blocks, targets)


async def _full(store: Store, users: set[UserId], limit: int) -> set[UserId]:
    counts = await store.rooms.count_rooms(users) if users else {}
    return {user for user, count in counts.items() if count >= limit}


async def _unknown(store: Store, users: set[UserId]) -> set[UserId]:
    """Return who has never signed in, of these.

    Who has entered a room has, though `people`, which follows the commits, may not say so yet. Both are always read, so
    that it takes as long to be told of somebody unknown as of somebody who blocks one.
    """
    if not users:
        return set()
    names, rooms = await asyncio.gather(store.people.names(users), store.rooms.count_rooms(users))
    return users - names.keys() - rooms.keys()


async def _blocks(store: Store, pairs: set[tuple[UserId, UserId]]) -> set[Block]:
    """Return which of the two of each pair blocks the other.

    A block is an event of the inbox of who blocks, and so of another log: it holds for what is sent after its answer.
    """
    both = {block for one, other in pairs for block in ((one, other), (other, one))}
    memberships = await store.rooms.memberships((inbox_room(one), other) for one, other in both)
    banned = {place for place, membership in memberships.items() if membership.state == "banned"}
    return {(one, other) for one, other in both if (inbox_room(one), other) in banned}
