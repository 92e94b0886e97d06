"""Directory: the public rooms, for everybody."""

from pydantic import BaseModel
from warren.contract import queries as q

from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.Directory) -> BaseModel:
    """Return a page of public rooms that are in use, by id."""
    found = await context.store.rooms.public(query.after, query.limit + 1)
    entries = [q.DirectoryEntry(room=room["_id"], title=room["title"]) for room in found[: query.limit]]
    return q.DirectoryPage(rooms=entries, more=len(found) > query.limit)
