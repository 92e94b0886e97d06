"""RoomAccess: how a room stands, for whoever may read it. Reads its head, the room and one membership."""

from collections.abc import Mapping

from pydantic import BaseModel
from warren.contract import queries as q
from warren.contract.ids import UserId

from warren_persistence.queries.access import Lookup, ResolvedAccess
from warren_persistence.queries.context import QueryContext
from warren_persistence.queries.peers import other


async def answer(context: QueryContext, query: q.RoomAccess) -> BaseModel:
    """Return how the room stood at its head, and what the asker may do there."""
    lookup = query.room, query.user
    (found,) = await answers(context, {lookup: await context.resolver.resolve(*lookup)})
    return found


async def answers(
    context: QueryContext, found: Mapping[Lookup, ResolvedAccess | q.Denied]
) -> list[q.Access | q.Denied]:
    """Return the answer to each lookup, in the same order. Reads the names of direct rooms' people."""
    peers = {
        (room, user): other(access.pair, user)
        for (room, user), access in found.items()
        if isinstance(access, ResolvedAccess) and access.pair
    }
    names = await context.store.people.names(peers.values()) if peers else {}
    return [
        access if isinstance(access, q.Denied) else _shown(context.epoch, access, peers.get(lookup), names)
        for lookup, access in found.items()
    ]


def _shown(epoch: str, access: ResolvedAccess, peer: UserId | None, names: Mapping[UserId, str]) -> q.Access:
    return q.Access(
        epoch=epoch,
        kind=access.kind,
        title=access.title,
        head=access.head.head,
        number=access.head.number,
        read=access.read,
        member=access.membership.state == "member",
        role=access.membership.role,
        muted=access.membership.muted,
        archived=access.archived,
        peer=q.Person(user=peer, name=names.get(peer, peer)) if peer else None,
    )
