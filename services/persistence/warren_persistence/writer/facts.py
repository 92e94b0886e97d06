"""Reads what the commands of one commit are judged by besides their rooms."""

import asyncio
from collections.abc import Mapping, Sequence

from warren.contract.commands import Block, CreateDirect, CreateRoom, Join
from warren.contract.ids import inbox_room, is_direct

from warren_persistence.domain import facts
from warren_persistence.domain.decide import RoomCommand
from warren_persistence.domain.facts import Facts
from warren_persistence.domain.room import Room
from warren_persistence.log.store import Store

_ENTRIES = (Join, CreateRoom, CreateDirect)


async def facts_of(store: Store, commands: Sequence[RoomCommand], rooms: Mapping[str, Room], limit: int) -> Facts:
    """Return what holds for these commands, whose rooms are given; one may be in `limit` rooms."""
    full, unknown, blocks = await asyncio.gather(
        _full(store, {command.sender for command in commands if isinstance(command, _ENTRIES)}, limit),
        _unknown(store, {command.user for command in commands if isinstance(command, CreateDirect | Block)}),
        _blocks(store, {pair for command in commands if (pair := _pair(command, rooms[command.room]))}),
    )
    return Facts(full, unknown, blocks)


async def _full(store: Store, users: set[str], limit: int) -> set[str]:
    counts = await store.count_rooms(users) if users else {}
    return {user for user, count in counts.items() if count >= limit}


async def _unknown(store: Store, users: set[str]) -> set[str]:
    return users - set(await store.names(users)) if users else set()


async def _blocks(store: Store, pairs: set[facts.Block]) -> set[facts.Block]:
    """Return which of the two of each pair blocks the other.

    A block is an event of the inbox of who blocks, and so of another log: it holds for what is sent after its answer.
    """
    both = {block for one, other in pairs for block in ((one, other), (other, one))}
    memberships = await store.memberships((inbox_room(one), other) for one, other in both)
    banned = {place for place, membership in memberships.items() if membership.state == "banned"}
    return {(one, other) for one, other in both if (inbox_room(one), other) in banned}


def _pair(command: RoomCommand, room: Room) -> facts.Block | None:
    """Return the two whose direct room it is, or is to be.

    A direct room that does not exist has somebody, too, who is nobody: so it takes as long to be told of it.
    """
    if isinstance(command, CreateDirect):
        return (command.sender, command.user)
    return room.pair or ((command.sender, room.name) if is_direct(room.name) else None)
