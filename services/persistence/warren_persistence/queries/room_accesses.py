"""RoomAccesses: how rooms stand, for many at once, whom a gateway vouches for. Takes a handful of reads."""

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code

from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.room_access import answers


async def answer(context: QueryContext, query: q.RoomAccesses) -> BaseModel:
    """Return to each query what RoomAccess is answered."""
    if query.user is not None:
        return q.Denied(code=Code.FORBIDDEN, detail="only gateways ask for others")
    lookups = [(one.room, one.user) for one in query.queries]
    found = await context.resolver.resolve_all(dict.fromkeys(lookups))
    by_lookup = dict(zip(found, await answers(context, found), strict=True))
    return q.Accesses(answers=[by_lookup[lookup] for lookup in lookups])
