"""The other ones of direct rooms."""

from collections.abc import Sequence

from warren.contract import queries as q
from warren.contract.ids import UserId

from warren_persistence.queries.access import Pair
from warren_persistence.store import Store


async def peers(store: Store, pairs: Sequence[Pair], user: UserId) -> dict[Pair, q.Person]:
    """Return the other one of each pair, by the name they last went by."""
    others = {pair: other(pair, user) for pair in pairs}
    names = await store.people.names(others.values()) if others else {}
    return {pair: q.Person(user=peer, name=names.get(peer, peer)) for pair, peer in others.items()}


def other(pair: Pair, user: UserId) -> UserId:
    """Return who of the pair is not `user`."""
    return pair[1] if pair[0] == user else pair[0]
