"""Who is told to end while a library is at work for it ends, though the library has kept that to itself.

`wait_for` on Python 3.11, inside aiormq, does so now and then. It cannot be brought about on purpose, so here the
opening of a channel always does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from harness.broker_client import WITHIN
from harness.stack import Stack
from warren.broker.command_client import CommandClient, by_shard
from warren.broker.publisher import Publisher
from warren.broker.reply_queue import ReplyQueue
from warren.broker.rpc_client import RpcClient
from warren.broker.shards import Shards
from warren.contract.topology import EVENTS, shard_queue
from warren_gateway.broker.bucket_queue import BucketQueue
from warren_persistence.queries.consumer import QueryConsumer
from warren_presence.service import PresenceService

Nobody = cast(Any, None)
PUBLISHER = Publisher()
SERVE: dict[str, Callable[[AbstractConnection], Awaitable[None]]] = {
    "shards": Shards("test", shard_queue, 1, lambda *_: None, lambda _: None, count=1).serve,
    "reply_queue": ReplyQueue(CommandClient(PUBLISHER, by_shard), RpcClient(PUBLISHER)).serve,
    "publisher": PUBLISHER.serve,
    "events": BucketQueue(EVENTS, 1, lambda _: None, lambda: None).serve,
    "queries": QueryConsumer(Nobody, PUBLISHER, "epoch", frozenset()).serve,
    "presence": PresenceService("test", Nobody).serve,
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have channels opened, and then a cancellation lost. Returns what is set when it may come."""
    may_come = asyncio.Event()
    initialize = aio_pika.Channel.initialize

    async def losing(channel: aio_pika.Channel, timeout: float | None = None) -> None:
        await initialize(channel, timeout)
        may_come.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    monkeypatch.setattr(aio_pika.Channel, "initialize", losing)
    return may_come


async def ends(task: "asyncio.Task[None]") -> None:
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=WITHIN)
    if not done:
        task.cancel()
    assert done
    assert task.cancelled()


@pytest.mark.parametrize("what", SERVE)
async def test_it_ends(stack: Stack, told: asyncio.Event, what: str) -> None:
    user = {"reply_queue": "gateway", "events": "gateway", "presence": "presence"}.get(what, "persistence")
    async with await aio_pika.connect(stack.amqp_url(user), timeout=WITHIN) as connection:
        task = asyncio.ensure_future(SERVE[what](connection))
        await told.wait()
        await ends(task)
