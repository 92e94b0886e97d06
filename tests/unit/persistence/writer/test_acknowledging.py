"""Deliveries are acknowledged when their events are out, in order, and the next batch does not wait for that."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from warren_persistence.commands.batch import Batch, Decoded
from warren_persistence.commands.delivery_queue import Delivery, DeliveryQueue
from warren_persistence.domain.plan import Plan
from warren_persistence.writer import writer as module
from warren_persistence.writer.writer import Writer


class Outcomes:
    """Publishes at once; what is confirmed when, the test says."""

    def __init__(self) -> None:
        self.published = 0
        self.confirms: list[asyncio.Future[None]] = []

    async def publish(self, batch: Batch, plan: Plan) -> bool:
        self.published += 1
        return True

    async def confirmed(self) -> None:
        self.confirms.append(confirm := asyncio.get_running_loop().create_future())
        await confirm


class Lease:
    """A shard's channel that lives, and what was acknowledged on it."""

    shard, live = 0, True

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.acks = SimpleNamespace(through=self.acked.append)


def delivery(lease: Lease, tag: int) -> Delivery:
    return Delivery(cast(Any, lease), cast(Any, SimpleNamespace(delivery_tag=tag, redelivered=False)))


async def turns() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_a_batch_waits_for_its_confirms_and_no_other_batch_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decode", lambda one, _: Decoded(one, None, [], [], []))
    outcomes, queue, lease = Outcomes(), DeliveryQueue(), Lease()
    nothing = cast(Any, SimpleNamespace(wake=lambda: None))
    store = cast(Any, SimpleNamespace(appender=SimpleNamespace(append=_nothing, find_keys=_no_keys), project=_nothing))
    writer = Writer(store, queue, cast(Any, outcomes), nothing, nothing, cast(Any, None), 1)
    monkeypatch.setattr(module, "load_facts", _nothing)
    running = asyncio.create_task(writer.run())
    for tag in (1, 2):
        queue.put(cast(Any, lease), delivery(lease, tag).message)
        await turns()
    assert outcomes.published == 2
    assert lease.acked == []
    outcomes.confirms[0].set_result(None)
    await turns()
    assert lease.acked == [1]
    running.cancel()
    await turns()
    outcomes.confirms[1].set_result(None)  # the end waits for it
    await asyncio.wait({running})
    assert lease.acked == [1, 2]


async def _nothing(*_: object) -> None:
    return None


async def _no_keys(*_: object) -> dict[object, object]:
    return {}
