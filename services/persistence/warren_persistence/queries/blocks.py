"""Blocks: whom the asker has blocked. Reads the bans of the asker's own inbox."""

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.ids import inbox_room
from warren.contract.wire import utc_now

from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.Blocks) -> BaseModel:
    """Return a page of people by id."""
    inbox = inbox_room(query.user)
    found = await context.store.rooms.members_of(inbox, "banned", query.after, query.limit + 1, utc_now())
    users = [document["_id"]["user"] for document in found[: query.limit]]
    names = await context.store.people.names(users)
    people = [q.Person(user=user, name=names.get(user, user)) for user in users]
    return q.PeopleAnswer(people=people, more=len(found) > query.limit)
