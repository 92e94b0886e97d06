"""Heads: where logs end, of the rooms that the asker may read; a gateway may on its own behalf."""

from pydantic import BaseModel
from warren.contract import queries as q

from warren_persistence.queries.access import ResolvedAccess
from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.Heads) -> BaseModel:
    """Return the heads; rooms that the asker may not read are left out, as are those that do not exist."""
    if query.user is None:
        heads = await context.store.log.heads(query.rooms)
    else:
        seen = await context.resolver.resolve_all((room, query.user) for room in query.rooms)
        heads = {room: access.head for (room, _), access in seen.items() if isinstance(access, ResolvedAccess)}
    return q.HeadsAnswer(epoch=context.epoch, heads=heads)
