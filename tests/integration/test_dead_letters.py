"""Dead letters keep their places, and so their numbers, however often somebody looks at them."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from harness.stack import Stack
from warren.broker.bots import declare_bot, remove_bot
from warren.broker.dead_letters import open_dead_letters
from warren.contract.bots import bot_dead_exchange, bot_queue

BOT = "orderly"
LETTERS = 200
"""Up to 32 RabbitMQ would put back in order whichever way they were taken."""
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""


@pytest.fixture
async def bodies(stack: Stack) -> AsyncIterator[list[bytes]]:
    """What is among the dead letters of a bot, in order."""
    await declare_bot(stack.rabbitmq.url, BOT, ())
    bodies = [b"%d" % number for number in range(LETTERS)]
    async with await aio_pika.connect(stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(bot_dead_exchange(BOT).name, ensure=False)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body), "")
    yield bodies
    await remove_bot(stack.rabbitmq.url, BOT)


async def seen(stack: Stack) -> list[bytes]:
    async with open_dead_letters(stack.rabbitmq.url, BOT) as letters:
        return [letter.message.body for letter in letters.found]


async def test_what_is_looked_at_stays_in_its_place(stack: Stack, bodies: list[bytes]) -> None:
    assert [await seen(stack) for _ in range(3)] == [bodies] * 3
    with pytest.raises(LookupError):
        async with open_dead_letters(stack.rabbitmq.url, BOT) as letters:
            letters.select([LETTERS + 1])
    assert await seen(stack) == bodies


async def test_what_is_left_when_some_are_dealt_with_stays_in_order(stack: Stack, bodies: list[bytes]) -> None:
    async with open_dead_letters(stack.rabbitmq.url, BOT) as letters:
        for letter in letters.select([1, 2, 50, 51, LETTERS]):
            await letters.drop(letter)
    del bodies[-1], bodies[49:51], bodies[:2]
    assert await seen(stack) == bodies


async def test_all_are_dropped(stack: Stack, bodies: list[bytes]) -> None:
    async with open_dead_letters(stack.rabbitmq.url, BOT) as letters:
        for letter in letters.select([]):
            await letters.drop(letter)
    assert await seen(stack) == []


async def test_all_are_replayed_in_order(stack: Stack, bodies: list[bytes]) -> None:
    await seen(stack)
    async with open_dead_letters(stack.rabbitmq.url, BOT) as letters:
        for letter in letters.select([]):
            await letters.replay(letter)
    assert await seen(stack) == []
    replayed: list[bytes] = []
    async with await aio_pika.connect(stack.rabbitmq.url) as connection, asyncio.timeout(WITHIN):
        queue = await (await connection.channel()).get_queue(bot_queue(BOT).name, ensure=False)
        async with queue.iterator(no_ack=True) as messages:
            async for message in messages:
                replayed.append(message.body)
                if len(replayed) == LETTERS:
                    break
    assert replayed == bodies
