"""Events go to whoever listens; nobody waits for those who do not take them, as after the death of a broker's node."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.abc import FieldTable
from harness.bots import rabbitmqctl
from harness.broker_client import WITHIN
from harness.concurrency import run_concurrently
from harness.observability import metric
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place, new_place
from warren.contract.topology import EVENTS, bucket, bucket_binding, event_key

MESSAGES = 3


@pytest.fixture
async def channel(stack: Stack) -> AsyncIterator[AbstractChannel]:
    """Return a channel of the operator's."""
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        yield await connection.channel()


async def listen(channel: AbstractChannel, *rooms: str, **arguments: str | int) -> str:
    """Have the events of these rooms go to one more queue; return its name."""
    given: FieldTable = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    queue = await channel.declare_queue(exclusive=True, arguments=given)
    for room in rooms:
        await queue.bind(EVENTS, event_key(room))
    return queue.name


async def outcomes(stack: Stack, outcome: str) -> float:
    return sum([await metric(one.url, "warren_event_messages_total", outcome=outcome) for one in stack.persistence])


async def converse(gateways: list[str], place: Place) -> None:
    """Have ann say several things, each when the last is acked; bob is shown them all."""
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[1], place.bob.token) as bob,
    ):
        await bob.join(place.room)
        for number in range(MESSAGES):
            ack = await ann.send(place.room, f"number {number}")
            assert ack["type"] == "ack", ack
        found = await bob.events(place.room, ack["seq"])
        assert [event["text"] for event in found] == [f"number {number}" for number in range(MESSAGES)]


async def test_a_queue_that_refuses_events_holds_nobody_up(
    stack: Stack, gateways: list[str], place: Place, http: httpx.AsyncClient, channel: AbstractChannel
) -> None:
    """A cluster keeps the exclusive queues of a node that is down, and refuses whatever is routed there."""
    other = await new_place(http, gateways[0])
    full = await listen(channel, place.room, max_length=1, overflow="reject-publish")
    await channel.default_exchange.publish(aio_pika.Message(b"full"), full)
    refused = await outcomes(stack, "refused")
    await run_concurrently(*(converse(gateways, one) for one in (place, other)))
    assert await outcomes(stack, "refused") > refused


async def test_a_queue_that_takes_no_events_holds_nobody_up(
    stack: Stack, gateways: list[str], place: Place, http: httpx.AsyncClient, channel: AbstractChannel
) -> None:
    """Nor does it answer, as on a node that is halted."""
    other = await new_place(http, gateways[0])
    halted = await listen(channel, place.room)
    await asyncio.to_thread(rabbitmqctl, stack, "eval", TELL.format(what="suspend", queue=halted))
    try:
        await run_concurrently(*(converse(gateways, one) for one in (place, other)))
    finally:
        await asyncio.to_thread(rabbitmqctl, stack, "eval", TELL.format(what="resume", queue=halted))


TELL = (
    '{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)), sys:{what}(amqqueue:get_pid(Q)).'
)
UNBIND = (
    'ok = rabbit_binding:remove({{binding, rabbit_misc:r(<<"/">>, exchange, <<"{exchange}">>), <<"{key}">>, '
    'rabbit_misc:r(<<"/">>, queue, <<"{queue}">>), []}}, <<"test">>).'
)


FORGET = (
    'Name = rabbit_misc:r(<<"/">>, queue, <<"{queue}">>), {{ok, Q}} = rabbit_amqqueue:lookup(Name), '
    "case catch rabbit_amqqueue:internal_delete(Name, <<\"test\">>) of {{'EXIT', _}} -> "
    'rabbit_amqqueue:internal_delete(Q, <<"test">>); Done -> Done end.'
)


async def test_queues_that_are_gone_are_made_anew(stack: Stack, gateways: list[str], place: Place) -> None:
    """A node that was cut off deletes those of the others' clients when it is back, and tells nobody."""
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[1], place.bob.token) as bob,
    ):
        await bob.join(place.room)
        await asyncio.to_thread(forget_gateways, stack)
        ack = await ann.send(place.room, "still here?")
        while ack["type"] == "error":
            assert ack["temporary"], ack
            ack = await ann.send(place.room, "still here?", ack["key"])
        (event,) = await bob.events(place.room, ack["seq"])
        assert event["text"] == "still here?"


def forget_gateways(stack: Stack) -> None:
    """Have the broker know nothing of the gateways' queues, whose connections go on."""
    found = [name for name in rabbitmqctl(stack, "list_queues", "name").splitlines() if name.startswith("gateway.")]
    assert found
    rabbitmqctl(
        stack, "eval", " ".join(f"(fun() -> {FORGET.format(queue=name)[:-1]} end)()," for name in found) + " ok."
    )


async def test_the_last_event_of_a_room_that_got_lost_is_found(stack: Stack, gateways: list[str], place: Place) -> None:
    """No other one follows that would show the hole: the heads do."""
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[1], place.bob.token) as bob,
    ):
        await bob.join(place.room)
        await asyncio.to_thread(cut_off, stack, place.room)
        ack = await ann.send(place.room, "the last word")
        (event,) = await bob.events(place.room, ack["seq"])
        assert event["text"] == "the last word"


def cut_off(stack: Stack, room: str) -> None:
    """Have no events of the room's bucket go to any gateway, and no gateway know."""
    key = bucket_binding(bucket(room))
    listed = rabbitmqctl(stack, "list_bindings", "source_name", "destination_name", "routing_key").splitlines()
    found = [
        (source, queue)
        for source, queue, bound in (line.split("\t") for line in listed)
        if (source, bound) == (EVENTS, key)
    ]
    assert found
    for source, queue in found:
        rabbitmqctl(stack, "eval", UNBIND.format(exchange=source, key=key, queue=queue))
