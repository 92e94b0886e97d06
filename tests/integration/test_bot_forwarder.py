"""The relay: what bots say reaches the writers in order, each at its pace, and no bot stands in people's way."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aio_pika
import httpx
import pytest
from harness.background import background_tasks
from harness.bots import WITHIN, depth, give_logins, messages, until
from harness.broker_client import BrokerClient, connect_broker, member_command, send_command
from harness.observability import metric
from harness.resilient_client import fresh_room, make_room
from harness.stack import Stack, replaced
from harness.tokens import token
from harness.tuned_services import persistence_with_query_limit
from warren.contract.ids import new_id
from warren.contract.topology import (
    BOT_QUERIES,
    BOT_QUEUE,
    COMMANDS,
    QUERY_QUEUE,
    bot_commands_queue,
    shard,
    shard_key,
    shard_queue,
)
from warren_local.service import Service
from warren_persistence.bots.admission import BODY_LIMIT

MOST: int = bot_commands_queue().arguments["x-max-length"]
FLOODS = 200
"""Publishes of a flood that are under way at once."""


@pytest.fixture(scope="module")
def urls(stack: Stack) -> dict[str, str]:
    """Return where each bot connects."""
    return give_logins(stack, dict.fromkeys(("orderly", "loud", "calm", "astray"), ()))


async def places(http: httpx.AsyncClient, gateway: str, *bots: BrokerClient, count: int) -> list[str]:
    """Make rooms, and these bots members of them."""
    rooms = [fresh_room("relay") for _ in range(count)]
    for room in rooms:
        await make_room(http, gateway, room, token("ann"))
        for bot in bots:
            command = member_command("join", room, bot.user)
            await bot.command(command)
            assert (await bot.replies(1))[command["id"]]["type"] == "accepted"
    return rooms


async def refused(stack: Stack, user: str, code: str) -> float:
    """Return how many commands or messages of a bot were refused so."""
    labels = {"user": user, "code": code}
    return sum([await metric(one.url, "warren_bot_commands_refused_total", **labels) for one in stack.persistence])


async def test_the_order_of_a_bot_is_kept_in_each_room(
    stack: Stack, urls: dict[str, str], http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with connect_broker(urls["orderly"]) as bot:
        rooms = await places(http, gateways[0], bot, count=6)
        assert len({shard(room) for room in rooms}) > 1
        commands = [
            send_command(room, bot.user, f"{number}")
            for number, room in zip(range(300), itertools.cycle(rooms), strict=False)
        ]
        async with asyncio.TaskGroup() as group:  # in messages of 1, 2, 3 … commands, without waiting
            start = 0
            for size in itertools.count(1):
                if not (part := commands[start : start + size]):
                    break
                group.create_task(bot.command(*part))
                start += size
        replies = await bot.replies(len(commands))
    assert {reply["type"] for reply in replies.values()} == {"accepted"}
    for room in rooms:
        said = [one["text"] for one in await messages(http, gateways[0], room)]
        assert said == [command["text"] for command in commands if command["room"] == room]


@asynccontextmanager
async def flood(bot: BrokerClient, rooms: Sequence[str]) -> AsyncIterator[None]:
    """Have a bot send as much as the broker takes, until this is left."""

    async def send(room: str) -> None:
        while True:
            with contextlib.suppress(aio_pika.exceptions.DeliveryError):  # the queue is full
                await bot.command(*(send_command(room, bot.user, "me again") for _ in range(50)), reply_to=None)

    async with background_tasks(*(send(room) for room, _ in zip(itertools.cycle(rooms), range(FLOODS), strict=False))):
        yield


async def test_a_flood_past_the_library_stands_in_nobodys_way(
    stack: Stack, urls: dict[str, str], http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with (
        connect_broker(urls["loud"]) as loud,
        connect_broker(urls["calm"]) as calm,
        connect_broker(stack.amqp_url("gateway")) as people,
    ):
        (room,) = await places(http, gateways[0], loud, calm, count=1)
        async with flood(loud, [room]):

            async def too_many() -> bool:
                return await refused(stack, loud.user, "too_many") > FLOODS

            await until(too_many)
            for _ in range(10):
                await people.fill(room, "ann", ["in the same shard"] * 10)
                assert await depth(stack.rabbitmq.url, shard_queue(shard(room))) < MOST
                assert await depth(stack.rabbitmq.url, BOT_QUEUE) <= MOST + FLOODS
            said = send_command(room, calm.user, "other bots, too")

            async def taken() -> bool:
                try:
                    await calm.command(said)
                except aio_pika.exceptions.DeliveryError:
                    return False
                return True

            await until(taken)
            assert (await calm.replies(1))[said["id"]]["type"] == "accepted"
        found = [one["text"] for one in await messages(http, gateways[0], room)]
    assert found.count("in the same shard") == 100
    assert found.count(said["text"]) == 1


@pytest.fixture
async def replica(stack: Stack) -> AsyncIterator[Service]:
    """Have one replica instead of the stack's own to which any flood is one, however slow the machine."""
    async with replaced(stack.persistence, persistence_with_query_limit(stack)) as found:
        yield found


async def test_a_flood_of_queries_is_not_read_and_delays_nobody(
    stack: Stack, replica: Service, urls: dict[str, str]
) -> None:
    query = {"type": "directory", "user": "bot.loud"}

    async def dropped() -> bool:
        return await metric(replica.url, "warren_queries_dropped_total", user="bot.loud") > MOST

    async def ask(loud: BrokerClient) -> None:
        while True:
            with contextlib.suppress(aio_pika.exceptions.DeliveryError):  # the queue is full
                await loud.publish(BOT_QUERIES, "", json.dumps(query).encode(), reply_to=None)

    async with (
        connect_broker(urls["loud"]) as loud,
        connect_broker(stack.amqp_url("gateway")) as people,
        background_tasks(*(ask(loud) for _ in range(FLOODS))),
    ):
        await until(dropped)
        for _ in range(30):
            assert (await people.ask({"type": "directory"}))["type"] == "directory_page"
            assert await depth(stack.rabbitmq.url, QUERY_QUEUE) < 10


async def test_what_is_too_long_is_not_read(stack: Stack, urls: dict[str, str]) -> None:
    async with connect_broker(urls["astray"]) as bot:
        before = await refused(stack, bot.user, "invalid")
        await bot.publish("warren.bots", "", b" " * (BODY_LIMIT + 1))

        async def counted() -> bool:
            return await refused(stack, bot.user, "invalid") == before + 1

        await until(counted)


async def test_a_shard_that_takes_nothing_holds_up_no_other_and_nothing_gets_lost(
    stack: Stack, urls: dict[str, str], http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with (
        connect_broker(urls["astray"], operator_url=stack.rabbitmq.url) as bot,
        await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as operator,
    ):
        rooms = await places(http, gateways[0], bot, count=8)
        stuck, *others = rooms
        free = next(room for room in others if shard(room) != shard(stuck))
        queue = await (await operator.channel()).get_queue(shard_queue(shard(stuck)), ensure=False)
        lost, unheard, fine = (send_command(room, bot.user, new_id()) for room in (stuck, stuck, free))
        await queue.unbind(COMMANDS, shard_key(shard(stuck)))
        try:
            await bot.command(lost, fine)
            replies = await bot.replies(2)
            assert (replies[fine["id"]]["type"], replies[lost["id"]]["code"]) == ("accepted", "unavailable")
            await bot.command(unheard, reply_to=None)
            letter = await bot.dead(unheard["id"].encode())
            assert (letter.headers["publisher"], letter.headers["exchange"]) == (bot.user, "warren.bots")
        finally:
            await queue.bind(COMMANDS, shard_key(shard(stuck)))
        await bot.command(lost)
        assert (await bot.replies(1))[lost["id"]]["type"] == "accepted"
