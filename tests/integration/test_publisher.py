"""What is published without confirms: all of it arrives, once and in order, whether or not it has to wait."""

import asyncio

import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from harness.background import background_tasks
from harness.broker_client import WITHIN
from warren.broker.publisher import Publisher

EXCHANGE = "test.publisher"
LARGE = 300_000
"""Bytes: more than one frame has."""
TURN = 30
"""Messages in a turn of the loop: more than wait at once for the connection's writer, so that later ones meet them."""
BODIES = [
    pytest.param([b"%d" % number for number in range(500)], id="many at once"),
    pytest.param([b"x" * LARGE, b"1", b"", b"2", b"y" * LARGE, b"3"], id="of all sizes"),
]


@pytest.mark.parametrize("bodies", BODIES)
async def test_what_is_published_at_once_arrives_in_order(operator: AbstractConnection, bodies: list[bytes]) -> None:
    publisher, came = Publisher(confirm=False), asyncio.Queue[AbstractIncomingMessage]()
    channel = await operator.channel()
    await channel.declare_exchange(EXCHANGE, "direct", auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(EXCHANGE, "key")
    await queue.consume(came.put, no_ack=True)
    async with background_tasks(publisher.serve(operator)), asyncio.timeout(WITHIN):
        await publisher.publish(EXCHANGE, "key", b"first")
        assert (await came.get()).body == b"first"
        publishing = []
        for number, body in enumerate(bodies):
            publishing.append(asyncio.create_task(publisher.publish(EXCHANGE, "key", body)))
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
        await asyncio.gather(*publishing)
        assert [(await came.get()).body for _ in bodies] == bodies
    assert came.empty()
