"""Acquaintance: who somebody is, for whoever shares a room with them. Reads the asker's rooms and the other's name."""

import asyncio

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.ids import direct_room

from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.my_rooms import MY_ROOMS


async def answer(context: QueryContext, query: q.Acquaintance) -> BaseModel:
    """Return the other one's name."""
    mine = [found["_id"]["room"] for found in await context.store.rooms.rooms_of(query.user, MY_ROOMS)]
    mine.append(direct_room(query.user, query.other))  # of those only so many are listed
    # The same reads whoever is asked about, so that it takes as long.
    shared, names = await asyncio.gather(
        context.store.rooms.is_member_of(query.other, mine), context.store.people.names([query.other])
    )
    if not shared and query.other != query.user:
        return q.Denied(code=Code.NOT_FOUND, detail="nobody whom one shares a room with")
    return q.Acquainted(name=names.get(query.other, query.other))
