"""I1 to I5 under load while one thing after the other dies. Members over all transports, four in each room."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from conftest import BASE_PORT
from harness.bots import give_logins, until
from harness.broker_client import BrokerClient, connect_broker, send_command
from harness.checker import check, read_store
from harness.client_pool import ClientPool, make_client_pool, sending
from harness.http_transport import http_client
from harness.resilient_client import fresh_room, make_room
from harness.stack import Stack, begin
from harness.tokens import token
from harness.transport import TRANSPORTS
from warren_local.service import Service

HEARTBEAT = 2
"""Seconds; the broker gives up a silent consumer after about two of them."""
OUTAGE = 10.0
"""Seconds that MongoDB is away: longer than a driver's patience, shorter than a client's."""
WITHIN = 120.0
"""Seconds for a scenario's conversation to get anywhere; a bound, not an expectation."""

FEW, MANY = 8, 20
"""Rooms in the short form and in the long one: enough that both writers have shards of some."""
Conversation = Callable[[], AbstractAsyncContextManager[ClientPool]]


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    stack = Stack(home / "faults", BASE_PORT + 500, heartbeat=HEARTBEAT)
    with stack.running():
        yield stack


@pytest.fixture(scope="module")
def urls(stack: Stack) -> dict[str, str]:
    """Return where a bot connects."""
    return give_logins(stack, {"steady": ()})


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """Return how often each fault is repeated."""
    return 10 if request.config.getoption("--long") else 1


@pytest.fixture
def conversation(stack: Stack, request: pytest.FixtureRequest) -> Conversation:
    """Return what lets a client pool send."""
    return partial(conversing, stack, MANY if request.config.getoption("--long") else FEW)


@asynccontextmanager
async def conversing(stack: Stack, rooms: int) -> AsyncIterator[ClientPool]:
    """Let a client pool send before, during and after the fault; then everything must be right."""
    gateways = [gateway.url for gateway in stack.gateways]
    members = await make_client_pool(gateways, rooms=rooms, per_room=4, transports=TRANSPORTS)
    async with asyncio.timeout(WITHIN * 5), sending(members, gateways) as pool:
        await pool.everyone_says(3)
        yield pool
        async with asyncio.timeout(WITHIN):
            await pool.everyone_says(3)
        await pool.finish()
        violations = await pool.violations(stack.mongodb.url)
    assert violations == []
    assert sum(pool.said.values()) >= 6 * len(members)


async def restart(service: Service) -> None:
    service.kill()
    await begin(service, within=WITHIN)


async def stored_by(persistence: Service) -> float:
    """Return how many commands a replica has stored."""
    async with http_client() as http:
        text = (await http.get(f"{persistence.url}/metrics")).text
    rows = (line for line in text.splitlines() if line.startswith('warren_commands_total{outcome="stored"}'))
    return float(next(rows, "x 0").split()[-1])


async def busiest(stack: Stack) -> Service:
    """Return the persistence replica that writes most."""
    counts = [await stored_by(persistence) for persistence in stack.persistence]
    return stack.persistence[counts.index(max(counts))]


async def test_one_gateway_after_the_other_is_killed(stack: Stack, conversation: Conversation, rounds: int) -> None:
    async with conversation() as pool:
        for _, gateway in itertools.product(range(rounds), stack.gateways):
            await restart(gateway)
            await pool.everyone_says(2)


async def test_the_active_writer_is_killed(stack: Stack, conversation: Conversation, rounds: int) -> None:
    async with conversation() as pool:
        for _ in range(rounds):
            await restart(await busiest(stack))
            await pool.everyone_says(2)


async def test_relays_are_killed_and_nothing_that_a_bot_has_said_is_lost_or_out_of_order(
    stack: Stack, urls: dict[str, str], http: httpx.AsyncClient, rounds: int
) -> None:
    rooms = [fresh_room("relayed") for _ in range(4)]
    sent: dict[str, list[str]] = {room: [] for room in rooms}
    for room in rooms:
        await make_room(http, stack.gateways[0].url, room, token("ann"))

    async def says(bot: BrokerClient, count: int) -> None:
        for number, room in zip(range(count), itertools.cycle(rooms), strict=False):
            command = send_command(room, bot.user, f"{number}")
            sent[room].append(command["key"])
            await bot.command(command)

    async def stored() -> bool:
        return sum(len(keys) for keys in keys_of().values()) >= sum(len(keys) for keys in sent.values())

    def keys_of() -> dict[str, list[str]]:
        store = read_store(stack.mongodb.url, rooms)
        return {room: [event["key"] for event in store[room] if event["type"] == "message"] for room in rooms}

    async with connect_broker(urls["steady"]) as bot:
        for room in rooms:
            await bot.command({**send_command(room, bot.user, ""), "type": "join"})
        for _, replica in itertools.product(range(rounds), stack.persistence):
            await says(bot, 40)
            async with asyncio.TaskGroup() as group:
                group.create_task(restart(replica))
                group.create_task(says(bot, 80))
        await until(stored)
    assert keys_of() == sent
    assert check([], read_store(stack.mongodb.url, rooms)) == []


async def test_the_broker_is_killed(stack: Stack, conversation: Conversation, rounds: int) -> None:
    async with conversation() as pool:
        for _ in range(rounds):
            stack.rabbitmq.kill()
            await asyncio.to_thread(stack.rabbitmq.start)
            await pool.everyone_says(2)


async def test_mongodb_is_stopped_for_a_while(stack: Stack, conversation: Conversation, rounds: int) -> None:
    async with conversation() as pool:
        for _ in range(rounds):
            await asyncio.to_thread(stack.mongodb.stop)
            said = sum(pool.said.values())
            await asyncio.sleep(OUTAGE)  # not a wait for something: the length of the outage
            # What was under way may still be acked; nothing new is.
            assert sum(pool.said.values()) <= said + len(pool.members)
            await asyncio.to_thread(stack.mongodb.start)
            await pool.everyone_says(2)


async def test_mongodb_is_killed(stack: Stack, conversation: Conversation, rounds: int) -> None:
    async with conversation() as pool:
        for _ in range(rounds):
            stack.mongodb.kill()
            await asyncio.to_thread(stack.mongodb.start)
            await pool.everyone_says(2)


async def test_the_active_writer_is_paused_past_its_heartbeat(
    stack: Stack, conversation: Conversation, rounds: int
) -> None:
    async with conversation() as pool:
        for _ in range(rounds):
            writer = await busiest(stack)
            writer.pause()
            try:
                # Everybody is heard again only once the broker has given the writer up and the other took over.
                await pool.everyone_says(2)
            finally:
                writer.resume()
            await pool.everyone_says(2)
