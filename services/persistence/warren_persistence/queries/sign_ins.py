"""SignIns: who has signed in, from gateways alone. Writes their names where people are found."""

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.wire import utc_now

from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.SignIns) -> BaseModel:
    """Answer when it is stored."""
    if query.user is not None:
        return q.Denied(code=Code.FORBIDDEN, detail="only gateways know who has signed in")
    await context.store.people.note({person.user: person.name for person in query.people}, utc_now())
    return q.Noted()
