"""Every query has a handler."""

from typing import get_args

from warren.contract.queries import AnyQuery
from warren_persistence.queries.registry import HANDLERS


def test_every_query_has_its_handler() -> None:
    assert set(HANDLERS) == set(get_args(AnyQuery))
    assert len(set(HANDLERS.values())) == len(HANDLERS)
