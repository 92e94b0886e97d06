"""Every query has a handler."""

from typing import get_args

from warren.contract.queries import QUERY_TYPES, AnyQuery
from warren.contract.topology import QUERIES, QUERY_KEY, QUERY_QUEUE, QUEUES
from warren_persistence.queries.registry import HANDLERS


def test_every_query_has_its_handler() -> None:
    assert set(HANDLERS) == set(get_args(AnyQuery))
    assert len(set(HANDLERS.values())) == len(HANDLERS)


def test_the_queue_is_bound_with_every_type_that_has_a_handler() -> None:
    (queue,) = (queue for queue in QUEUES if queue.name == QUERY_QUEUE)
    assert (queue.exchange, queue.key, set(queue.further)) == (QUERIES, QUERY_KEY, set(QUERY_TYPES))
    assert set(QUERY_TYPES) == {query.model_fields["type"].default for query in HANDLERS}
