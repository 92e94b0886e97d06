"""History: a page of a room's messages, for whoever may read the room, as they were at the head that is read first."""

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.ids import Seq
from warren.contract.sizes import SERVER_BODY_LIMIT, first_within, last_within

from warren_persistence.queries.context import QueryContext

SYSTEM_EVENTS_SHARE = SERVER_BODY_LIMIT // 4
"""Bytes of a page that its system events may take; the messages have the rest."""


async def answer(context: QueryContext, query: q.History) -> BaseModel:
    """Return the page, and the system events between its ends if they are wanted."""
    access = await context.resolver.resolve(query.room, query.user)
    if isinstance(access, q.Denied):
        return access
    upto = access.head.head
    found = await context.store.log.messages(query.room, query.before, query.after, upto, query.limit + 1)
    room_for = SERVER_BODY_LIMIT - (SYSTEM_EVENTS_SHARE if query.notes else 0)
    if query.after is not None:
        page = first_within(found[: query.limit], room_for)
    else:
        page = last_within(found[-query.limit :], room_for)
    more = len(found) > len(page)
    besides = await _system_events(context, query, page, upto, more=more) if query.notes else []
    shown = last_within(besides[-q.NOTES_LIMIT :], SYSTEM_EVENTS_SHARE)
    return q.Page(messages=page, more=more, at=upto, notes=shown, notes_cut=len(shown) < len(besides))


async def _system_events(
    context: QueryContext, query: q.History, page: list[q.StoredEvent], upto: Seq, *, more: bool
) -> list[q.StoredEvent]:
    """Return what else happened between the ends of the page; where nothing more follows, up to the log's.

    The last NOTES_LIMIT of it, and one more if there were more.
    """
    low, high = query.after or 0, upto if query.before is None else min(upto, query.before - 1)
    if more and query.after is not None:
        high = page[-1]["seq"]
    elif more:
        low = page[0]["seq"]
    return await context.store.log.system_events(query.room, low, high, q.NOTES_LIMIT + 1)
