"""People: who has ever signed in, by the beginning of a name or an id, for everybody."""

from pydantic import BaseModel
from warren.contract import queries as q

from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.People) -> BaseModel:
    """Return the people that are found."""
    found = await context.store.people.search(query.prefix, query.limit)
    return q.PeopleAnswer(people=[q.Person(user=user, name=name) for user, name in found.items()])
