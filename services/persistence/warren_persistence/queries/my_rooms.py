"""MyRooms: the rooms that the asker is a member of. Reads the asker's memberships, and rooms and heads of those."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.ids import UserId, inbox_room

from warren_persistence.domain.room import NOBODY, Membership
from warren_persistence.projections.rooms import pair_of
from warren_persistence.queries.access import Pair, read_of
from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.peers import other, peers
from warren_persistence.store import Store

MY_ROOMS = 1_000
"""The most rooms in the answer."""


async def answer(context: QueryContext, query: q.MyRooms) -> BaseModel:
    """Return the rooms by id."""
    store = context.store
    memberships = {found["_id"]["room"]: found for found in await store.rooms.rooms_of(query.user, MY_ROOMS)}
    rooms, heads = await asyncio.gather(store.rooms.by_name(memberships), store.log.heads(list(memberships)))
    pairs = [pair for room in rooms.values() if (pair := pair_of(room))]
    people, decided = await asyncio.gather(peers(store, pairs, query.user), _decided(store, pairs, query.user))
    summaries = [
        _summary(rooms[name], heads[name], found, people, decided)
        for name, found in memberships.items()
        if name in rooms and name in heads
    ]
    return q.RoomList(rooms=sorted(summaries, key=lambda summary: summary.room))


async def _decided(store: Store, pairs: Sequence[Pair], user: UserId) -> dict[Pair, Membership]:
    """Return what `user` has decided about the other one of each pair."""
    inbox, others = inbox_room(user), {pair: other(pair, user) for pair in pairs}
    found = await store.rooms.memberships((inbox, peer) for peer in others.values())
    return {pair: found.get((inbox, peer), NOBODY) for pair, peer in others.items()}


def _summary(
    room: dict[str, Any], head: q.Head, member: dict[str, Any], people: Mapping[Pair, q.Person],
    decided: Mapping[Pair, Membership],
) -> q.RoomSummary:  # fmt: skip
    pair = pair_of(room)
    decision = decided[pair] if pair else NOBODY
    return q.RoomSummary(
        room=room["_id"],
        kind=room["kind"],
        title=room["title"],
        head=head.head,
        number=head.number,
        read=read_of(member),
        unread=head.number - read_of(member),
        role=member["role"],
        archived=room["archived"],
        peer=people[pair] if pair else None,
        hidden=decision.hidden is not None and head.number <= decision.hidden,
        blocked=decision.state == "banned",
    )
