"""What RabbitMQ itself does to queues with a single active consumer, on this machine's and on RabbitMQ 4."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from conftest import BASE_PORT
from faults.test_invariants import conversing
from harness.bots import rabbitmqctl, until
from harness.observability import log_lines
from harness.rabbitmq_4 import MISSING, rabbitmq_4
from harness.stack import Stack
from warren.broker.consumer import close, consume, is_open, open_channel
from warren.broker.definitions import TAKEOVER, template
from warren.broker.errors import Unavailable, translated
from warren.contract.topology import command_queue, shard_queue
from warren_local.rabbitmq import RabbitMQ

TIMEOUT, LONG_TIMEOUT = 3, 60
"""Seconds for which a consumer may hold a delivery; RabbitMQ's own default is half an hour."""
TIMES = 3
"""So many of them the database is away."""
ROOMS = 8
WITHIN = 60.0
"""Seconds for a delivery; a bound, not an expectation."""
OF_OURS = {"x-delivery-limit": 1_000_000}
"""Else the deliveries that are requeued here would be dead letters before anybody else has come."""


@pytest.fixture(scope="module", params=["RabbitMQ of this machine", "RabbitMQ 4"])
def stack(request: pytest.FixtureRequest, home: Path) -> Iterator[Stack]:
    """Start a stack whose broker soon loses patience with consumers, and looks after them every second."""
    four = request.param == "RabbitMQ 4"
    programs = rabbitmq_4() if four else None
    if four and programs is None:
        pytest.skip(MISSING)
    stack = Stack(home / f"timeout-{4 if four else 3}", BASE_PORT + 4_500, programs=programs)
    timeout = LONG_TIMEOUT if request.config.getoption("--long") else TIMEOUT
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("a container's broker cannot be made impatient")
    stack.rabbitmq.env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += (
        f" -rabbit consumer_timeout {timeout * 1_000} -rabbit channel_tick_interval 1000"
    )
    with stack.running():
        yield stack


@pytest.fixture
async def operator(stack: Stack) -> AsyncIterator[AbstractConnection]:
    """Return a connection of the operator's."""
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        yield connection


async def test_writers_that_hold_their_deliveries_for_too_long_go_on(stack: Stack) -> None:
    """MongoDB is away until every writer has run into the timeout, several times; then all that was sent is stored.

    RabbitMQ 4.3 never again delivers to a consumer that has, so a shard would stand still once all of its have.
    """

    async def all_timed_out() -> bool:
        return all(
            len(log_lines(writer.log, "consumer was ended by the broker")) >= TIMES for writer in stack.persistence
        )

    async with conversing(stack, ROOMS) as pool:
        await asyncio.to_thread(stack.mongodb.stop)
        await until(all_timed_out, within=LONG_TIMEOUT * (TIMES + 2))
        await asyncio.to_thread(stack.mongodb.start)
        await pool.everyone_says(2)
    # Whoever acknowledges on a channel that was closed loses all its shards, not this one alone.
    assert "expected 'channel.open'" not in stack.rabbitmq.log.read_text(errors="replace")


async def test_a_consumer_that_the_broker_ends_is_over_at_once(stack: Stack) -> None:
    """Not after a heartbeat, as long as the answer to its close would be waited for where it cannot be read."""
    url = stack.rabbitmq.url.replace("heartbeat=10", "heartbeat=300")
    async with await aio_pika.connect(url, timeout=WITHIN) as connection, asyncio.timeout(WITHIN):
        channel = await open_channel(connection, prefetch=1)
        queue = await channel.declare_queue(exclusive=True)
        await consume(channel, queue.name, lambda _: None)
        await (await connection.channel()).queue_delete(queue.name)
        await channel.closed()


async def test_deliveries_that_one_gives_back_go_to_one_with_a_higher_priority(operator: AbstractConnection) -> None:
    """Once the first has gone at the latest, which on RabbitMQ 3 is needed. (RabbitMQ 4.0 stood still.)"""
    queue = await (await operator.channel()).declare_queue(
        "of-ours", durable=True, arguments={**command_queue(0).arguments, **OF_OURS}
    )
    requeued, taken = asyncio.Event(), asyncio.Event()
    first, second = await open_channel(operator, prefetch=1), await open_channel(operator, prefetch=1)
    underlay = await first.get_underlay_channel()
    giving: set[asyncio.Task[None]] = set()

    async def requeue(tag: int) -> None:
        with contextlib.suppress(Unavailable), translated():
            if is_open(underlay):
                await underlay.basic_nack(tag, requeue=True)

    def give_back(message: DeliveredMessage) -> None:
        assert message.delivery_tag is not None
        giving.add(asyncio.create_task(requeue(message.delivery_tag)))
        requeued.set()

    await consume(first, queue.name, give_back, arguments={"x-priority": 0})
    for number in range(10):
        await (await operator.channel()).default_exchange.publish(aio_pika.Message(b"%d" % number), queue.name)
    async with asyncio.timeout(WITHIN):
        await requeued.wait()
        bodies: list[bytes] = []

        def take(message: DeliveredMessage) -> None:
            bodies.append(message.body)
            taken.set()

        await consume(second, queue.name, take, arguments={"x-priority": 100})
        if not await on_4(operator):
            await close(first)
        await taken.wait()
    assert bodies == [b"0"]
    await queue.delete(if_unused=False, if_empty=False)


async def test_what_is_taken_from_a_consumer_does_not_count_towards_the_delivery_limit(
    operator: AbstractConnection,
) -> None:
    """So that shards may be taken from who holds them soon, however long MongoDB is away."""
    if not await on_4(operator):
        pytest.skip("RabbitMQ 4.3 is the first to count so")
    arguments = {**command_queue(0).arguments, "x-delivery-limit": 2, "x-consumer-timeout": 100}
    channel = await operator.channel()
    queue = await channel.declare_queue("kept", durable=True, arguments=arguments)
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), queue.name)
    async with asyncio.timeout(WITHIN):
        for _ in range(6):
            holder = await open_channel(operator, prefetch=1)
            taken = asyncio.Event()
            await consume(holder, queue.name, partial(tell, taken))
            await taken.wait()
            await holder.closed()
    await queue.delete(if_unused=False, if_empty=False)


OVERVIEW = (
    '{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)), '
    "ra:leader_query(amqqueue:get_pid(Q), {{rabbit_fifo, overview, []}})."
)
"""What a quorum queue goes by."""


async def test_shards_that_are_there_already_are_taken_over_soon(stack: Stack, operator: AbstractConnection) -> None:
    """By the policy for containers: a setting of RabbitMQ's own is for queues that are made from then on."""
    if not await on_4(operator):
        pytest.skip("RabbitMQ 4.3 is the first to wait for whose node has died")
    eval_overview = OVERVIEW.format(queue=shard_queue(3))
    assert "consumer_disconnected_timeout => 60000" in await asyncio.to_thread(
        rabbitmqctl, stack, "eval", eval_overview
    )
    definitions = stack.home / "policies.json"
    definitions.write_text(json.dumps({"policies": template()["policies"]}))
    await asyncio.to_thread(rabbitmqctl, stack, "import_definitions", str(definitions))

    async def heeded() -> bool:
        overview = await asyncio.to_thread(rabbitmqctl, stack, "eval", eval_overview)
        return f"consumer_disconnected_timeout => {TAKEOVER}" in overview

    await until(heeded)


def tell(taken: asyncio.Event, _: DeliveredMessage) -> None:
    taken.set()


async def on_4(connection: AbstractConnection) -> bool:
    """Whether the broker gives a queue to the consumer with the highest priority, and not to the first."""
    assert connection.transport is not None
    return str(connection.transport.connection.server_properties["version"]).startswith("4.")
