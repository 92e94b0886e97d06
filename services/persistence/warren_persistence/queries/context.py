"""What the handlers of queries work with."""

from dataclasses import dataclass

from warren.contract.ids import UserId

from warren_persistence.queries.access import AccessResolver
from warren_persistence.store import Store


@dataclass(frozen=True, slots=True)
class QueryContext:
    """One for all queries. `epoch`: the identity of the database; `watchers`: bots that may read all rooms."""

    store: Store
    epoch: str
    watchers: tuple[UserId, ...]
    resolver: AccessResolver
