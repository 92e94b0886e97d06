"""RoomAccess: how a room stands, for whoever may read it. Reads its head, the room and one membership."""

from pydantic import BaseModel
from warren.contract import queries as q

from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.peers import peers


async def answer(context: QueryContext, query: q.RoomAccess) -> BaseModel:
    """Return how the room stood at its head, and what the asker may do there."""
    access = await context.resolver.resolve(query.room, query.user)
    if isinstance(access, q.Denied):
        return access
    return q.Access(
        epoch=context.epoch,
        kind=access.kind,
        title=access.title,
        head=access.head.head,
        number=access.head.number,
        read=access.read,
        member=access.membership.state == "member",
        role=access.membership.role,
        muted=access.membership.muted,
        archived=access.archived,
        peer=(await peers(context.store, [access.pair], query.user)).get(access.pair) if access.pair else None,
    )
