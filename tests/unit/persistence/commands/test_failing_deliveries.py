"""A message of commands that nobody can even read, for a reason that nobody foresaw, is poison as a whole."""

from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from pamqp.commands import Basic
from warren.broker.shards import Lease
from warren_persistence.bots import admission as gate
from warren_persistence.bots.admission import AdmissionControl
from warren_persistence.bots.forwarder import Forwarder
from warren_persistence.commands import batch
from warren_persistence.commands.batch import Batch, Decoded, Poison, Trust, decode
from warren_persistence.commands.delivery_queue import Delivery, DeliveryQueue

BODY = b'{"commands":[]}'
TRUST = Trust(frozenset({"gateway"}), own="persistence")
Nobody = cast(Any, None)


def delivery(user: str) -> Delivery:
    header = SimpleNamespace(properties=Basic.Properties(user_id=user, headers={}))
    lease = Lease(3, cast(Any, SimpleNamespace(is_closed=False)))
    return Delivery(lease, cast(Any, SimpleNamespace(body=BODY, header=header)))


def broken(*_: object) -> NoReturn:
    raise RecursionError("nobody foresaw it")


def test_the_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "parse", broken)
    found = decode(delivery("gateway"), TRUST)
    assert found.poison == [Poison(BODY, "failed: RecursionError('nobody foresaw it')", "gateway")]
    assert (found.commands, found.publisher) == ([], "gateway")


def test_a_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "parse", broken)
    found = Forwarder(DeliveryQueue(), AdmissionControl(TRUST), Nobody, Nobody)._admit(delivery("bot.a"))
    assert found.poison == [Poison(BODY, "failed: RecursionError('nobody foresaw it')", "bot.a")]
    assert found.commands == []


@pytest.mark.parametrize("sizes", [[2], [1, 1], [0, 3], [3, 0], [5, 0, 2], [1, 4], [1, 1, 1, 1], [0, 0, 2, 0]])
def test_halves_have_all_of_it_once_and_in_order(sizes: list[int]) -> None:
    names = iter(range(sum(sizes)))
    parts = [
        Decoded(delivery("gateway"), "gateway", [cast(Any, next(names)) for _ in range(size)], [cast(Any, place)], [])
        for place, size in enumerate(sizes)
    ]
    first, rest = Batch(parts).halves()
    everything: list[object] = [*first.commands(), *rest.commands()]
    assert everything == list(range(sum(sizes)))
    assert len(list(first.commands())) == sum(sizes) // 2
    poison: list[object] = [one for half in (first, rest) for part in half.parts for one in part.poison]
    assert poison == list(range(len(sizes)))
