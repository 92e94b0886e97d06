"""EventRange: a part of a room's log, for whoever may read the room; a gateway may on its own behalf."""

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.sizes import SERVER_BODY_LIMIT, first_within

from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.EventRange) -> BaseModel:
    """Return the events, of any type, up to the head."""
    # The head first: events stored in between are another answer's.
    if query.user is None:
        head = (await context.store.log.heads([query.room])).get(query.room, q.Head(head=0, number=0))
    else:
        access = await context.resolver.resolve(query.room, query.user)
        if isinstance(access, q.Denied):
            return access
        head = access.head
    events = await context.store.log.range(query.room, query.after, head.head, query.limit)
    return q.Range(epoch=context.epoch, events=first_within(events, SERVER_BODY_LIMIT), head=head.head)
