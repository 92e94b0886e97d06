"""Roll-outs and changes of scale that nobody notices: people chat through nginx while replicas come and go.

Nobody may be shown anything twice, out of order or not at all, lose what was acknowledged, or have to try again. How
long messages took is what these tests print: pytest -rP shows it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conftest import BASE_PORT
from harness.bots import consumers, depth, until
from harness.broker_client import connect_broker
from harness.client_pool import ClientPool, make_clients, sending
from harness.http_transport import http_client
from harness.nginx import proxied
from harness.observability import metric
from harness.rabbitmq_4 import MISSING as NO_RABBITMQ_4
from harness.rabbitmq_4 import rabbitmq_4
from harness.resilient_client import fresh_room, make_room
from harness.stack import Stack, begin
from harness.transport import TRANSPORTS
from harness.tuned_services import persistence_with_long_timeouts
from warren.contract.ids import new_id
from warren.contract.topology import QUERIES, QUERY_KEY, QUERY_QUEUE, SHARDS, command_queue
from warren_local.service import Service

CLIENTS = 30
LONG_CLIENTS = 500
PER_ROOM = 10
RATE = 40.0
"""Messages a second, of all clients together; each is shown to ten."""
MOVES = 10.0
"""Clients a second that take another connection, where new gateways are to get some."""
DRAIN = "3"
LONG_DRAIN = "10"
PROXY = 460
"""Its port, above a stack's own first."""
ENDINGS = ("exit code 0", "signal SIGTERM")
"""Uvicorn, when all is done, ends by the signal that it was told to end by; a replica that hangs gets another one."""
SHARES = (0.5, 0.99, 0.999, 1.0)
BY_ROOM, BUNDLED = ({"WARREN_BUNDLE_EVENTS": given} for given in ("false", "true"))
"""The forms in which persistence writes events."""
WITHIN = 120.0
"""Seconds for a step; a bound, not an expectation."""


@pytest.fixture
def clients(request: pytest.FixtureRequest) -> int:
    return LONG_CLIENTS if request.config.getoption("--long") else CLIENTS


@asynccontextmanager
async def chat(stack: Stack, url: str, clients: int, stay: float | None = None) -> AsyncIterator[ClientPool]:
    """Let so many chat over all transports; in the end everything must be right for each of them."""
    rooms = [fresh_room("rollout") for _ in range(clients // PER_ROOM)]
    members = await make_clients([url], rooms, per_room=PER_ROOM, transports=TRANSPORTS, stay=stay)
    async with asyncio.timeout(WITHIN * 2), sending(members, [url], pause=clients / RATE) as pool:
        await pool.everyone_says(1)
        settled = time.monotonic()
        yield pool
        await pool.everyone_says(1)
        await pool.finish()
        violations = await pool.violations(stack.mongodb.url)
    assert violations == []
    delays = pool.delays(settled)
    slow = ", ".join(f"p{100 * share:g} {1_000 * delays[int(share * (len(delays) - 1))]:.0f} ms" for share in SHARES)
    print(f"{clients} clients, {len(delays)} times a message was shown; from the first try to send it: {slow}")
    assert pool.setbacks() == {}, "what members had to try again"


async def end(*services: Service) -> None:
    for service in services:
        await asyncio.to_thread(service.stop)
        assert service.ending in ENDINGS, service.log


async def restart(services: Sequence[Service], env: dict[str, str], pool: ClientPool) -> None:
    """Start these anew, one after the other, with other settings."""
    for service in services:
        await end(service)
        service.env |= env
        await begin(service, within=WITHIN)
        await pool.everyone_says(1)


@pytest.fixture(scope="module")
def drain(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"WARREN_DRAIN_SECONDS": LONG_DRAIN if request.config.getoption("--long") else DRAIN}


@pytest.fixture(scope="module")
def stack(home: Path, drain: dict[str, str]) -> Iterator[Stack]:
    stack = Stack(home / "rollout", BASE_PORT + 3_500, presence=2, env=drain)
    with stack.running():
        yield stack


@pytest.mark.parametrize("kind", ["gateway", "persistence", "presence"])
async def test_a_service_is_replaced_under_load(stack: Stack, kind: str, clients: int) -> None:
    """One replica after the other ends and is started anew, as a roll-out does it."""
    with proxied(stack.home / "proxy", stack.base + PROXY, stack.gateways) as url:
        async with chat(stack, url, clients) as pool:
            for service in stack.services:
                if service.name.startswith(kind):
                    await end(service)
                    await begin(service, within=WITHIN)
                    await pool.everyone_says(1)


async def test_events_take_their_other_form_and_back_under_load(stack: Stack, clients: int) -> None:
    """A message a room, as versions before wrote it, beside bundles, and each alone."""
    with proxied(stack.home / "proxy", stack.base + PROXY, stack.gateways) as url:
        async with chat(stack, url, clients) as pool:
            for form in (BY_ROOM, BUNDLED):
                await restart(stack.persistence, form, pool)


async def test_an_older_version_is_replaced_under_load(
    home: Path, drain: dict[str, str], clients: int, request: pytest.FixtureRequest
) -> None:
    """In the order that docs/operations.md has: old and new run side by side meanwhile."""
    older = request.config.getoption("--older")
    if older is None:
        pytest.skip("no older version to upgrade from: --older=PATH")
    stack = Stack(home / "upgrade", BASE_PORT + 4_000, presence=2, env={**drain, **BY_ROOM})
    new = stack.services[0].command[0]
    for service in stack.services:
        service.command[0] = str(older.absolute() / ".venv" / "bin" / "python")
    with stack.running(), proxied(stack.home / "proxy", stack.base + PROXY, stack.gateways) as url:
        async with chat(stack, url, clients) as pool:
            for service in (*stack.persistence, *stack.presence, *stack.gateways):
                await end(service)
                service.command[0] = new
                await begin(service, within=WITHIN)
                await pool.everyone_says(1)
            await restart(stack.persistence, BUNDLED, pool)


@pytest.fixture(params=["RabbitMQ of this machine", "RabbitMQ 4"])
def small(request: pytest.FixtureRequest, home: Path, drain: dict[str, str]) -> Iterator[tuple[Stack, bool]]:
    """Start one of each, and tell whether shards spread by themselves."""
    four = request.param == "RabbitMQ 4"
    programs = rabbitmq_4()
    if four and programs is None:
        pytest.skip(NO_RABBITMQ_4)
    if not four and programs is not None and not request.config.getoption("--long"):
        pytest.skip("RabbitMQ 4, which production runs, is enough for the short form")
    stack = Stack(
        home / ("scale-4" if four else "scale"), BASE_PORT + 4_000 + 500 * four, gateways=1, persistence=1, presence=1,
        env=drain, programs=programs if four else None,
    )  # fmt: skip
    with stack.running():
        yield stack, four


async def held(presence: Service) -> float:
    return await metric(presence.url, "warren_presence_shards")


async def test_there_is_more_of_everything_and_then_less(small: tuple[Stack, bool], clients: int) -> None:
    """1 to 3 gateways, 1 to 2 of the others, and back; those that go are the ones that were there first."""
    stack, spreads = small
    new = [stack.extra("gateway", number) for number in (2, 3)]
    writer, presence = stack.extra("persistence", 2), stack.extra("presence", 2)
    gateways = [*stack.gateways, *new]

    async def used() -> bool:
        return all([await metric(gateway.url, "warren_connections") > 0 for gateway in gateways])

    async def spread() -> bool:
        async with http_client() as http:  # the rooms there are may all be in shards of the first writer's
            await make_room(http, url, fresh_room("spread"), pool.members[0].token)
        shares = [await held(each) for each in (*stack.presence, presence)]
        written = await metric(writer.url, "warren_commands_total", outcome="stored")
        return all(shares) and sum(shares) == SHARDS and written > 0

    async def over() -> bool:
        return await held(presence) == SHARDS

    try:
        with proxied(stack.home / "proxy", stack.base + PROXY, gateways) as url:
            async with chat(stack, url, clients, stay=clients / MOVES) as pool:
                await begin(*new, within=WITHIN)
                await until(used)
                await begin(writer, presence, within=WITHIN)
                if spreads:
                    await until(spread)
                await pool.everyone_says(1)
                await end(*stack.gateways, *stack.persistence, *stack.presence)
                await until(over)
                await pool.everyone_says(1)
                await end(new[0])
                await pool.everyone_says(1)
                assert await metric(new[1].url, "warren_connections") > 0
    finally:
        for service in (*new, writer, presence):
            service.stop()


async def test_who_asked_a_replica_that_stops_is_answered(stack: Stack) -> None:
    """What is in hand is answered before it ends, even if that takes the database a while."""
    replica = persistence_with_long_timeouts(stack)
    await end(*stack.persistence)  # so that nobody else can answer
    try:
        await begin(replica, within=WITHIN)
        async with connect_broker(stack.amqp_url("gateway")) as people:

            async def in_hand() -> bool:
                return await depth(stack.rabbitmq.url, QUERY_QUEUE) == 0

            async def stopping_to_write() -> bool:
                return await consumers(stack.rabbitmq.url, command_queue(0).name) == 0

            stack.mongodb.pause()
            try:
                await people.publish(QUERIES, QUERY_KEY, b'{"type": "directory"}', correlation_id=new_id())
                await until(in_hand)
                replica.terminate()
                await until(stopping_to_write)
            finally:
                stack.mongodb.resume()
            assert (await people.answer())["type"] == "directory_page"
        await end(replica)
    finally:
        replica.stop()
    await begin(*stack.persistence, within=WITHIN)
