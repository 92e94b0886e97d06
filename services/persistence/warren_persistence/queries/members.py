"""Members: the people of a room, for its members; who is invited or banned, for its moderators alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.wire import utc_now

from warren_persistence.projections.rooms import membership_of
from warren_persistence.queries.access import ResolvedAccess
from warren_persistence.queries.context import QueryContext


async def answer(context: QueryContext, query: q.Members) -> BaseModel:
    """Return a page of people by id."""
    access = await context.resolver.resolve(query.room, query.user)
    if isinstance(access, q.Denied):
        return access
    if denied := _denied(access, query.state):
        return denied
    now = utc_now()
    found = await context.store.rooms.members_of(query.room, query.state, query.after, query.limit + 1, now)
    names = await context.store.people.names(document["_id"]["user"] for document in found)
    entries = [_entry(document, names, now) for document in found[: query.limit]]
    return q.MemberPage(members=entries, more=len(found) > query.limit, watched_by=list(context.watchers))


def _denied(access: ResolvedAccess, state: q.MemberState) -> q.Denied | None:
    if access.kind == "inbox" or access.membership.state != "member":
        return q.Denied(code=Code.FORBIDDEN, detail="only members may do this")
    if state != "member" and access.membership.role not in ("owner", "moderator"):
        return q.Denied(code=Code.FORBIDDEN, detail="only for the room's moderators")
    return None


def _entry(document: dict[str, Any], names: Mapping[str, str], now: datetime) -> q.MemberEntry:
    user, membership = document["_id"]["user"], membership_of(document).at(now)
    return q.MemberEntry(
        user=user, name=names.get(user, user), role=membership.role, muted=membership.muted, banned=membership.until
    )
