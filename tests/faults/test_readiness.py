"""What gateways say of themselves while people cannot chat, and which of them a load balancer sends people to."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import BASE_PORT
from harness.background import background_tasks
from harness.bots import rabbitmqctl
from harness.bots import until as until_within
from harness.resilient_client import bearer, fresh_room, make_room
from harness.stack import PORTS, Stack
from harness.tcp_proxy import TcpProxy
from harness.tokens import token
from warren_local.ports import HOST
from warren_local.rabbitmq import RabbitMQ
from warren_local.service import Service

BASE = BASE_PORT + 3_500
GATEWAYS = 3
PEERS = ",".join(f"http://{HOST}:{BASE + PORTS['gateway'][1] * number}" for number in range(GATEWAYS))
WELL = {"broker": True, "storing": True, "reading": True, "serving": True}
PATIENCE = 1.0
"""Seconds that somebody waits before they try the next thing."""
WITHIN = 90.0
"""Seconds for a gateway to notice; a bound, not an expectation: a command waits for 15, and so does a verdict on it."""
USUAL = "0.4"
"""The share of the machine's memory beyond which RabbitMQ stops publishers; any above what it takes would do."""


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    stack = Stack(home / "readiness", BASE, persistence=1, heartbeat=2, env={"WARREN_PEERS": PEERS})
    with stack.running():
        yield stack


@pytest.fixture
async def wire(stack: Stack) -> AsyncIterator[TcpProxy]:
    """Run a wire to the broker."""
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("the broker is no process of this machine")
    async with TcpProxy(stack.rabbitmq.port).running() as wire:
        yield wire


@pytest.fixture
async def gateways(stack: Stack, wire: TcpProxy) -> AsyncIterator[list[Service]]:
    """Run a third gateway, the last one, on the wire."""
    assert isinstance(stack.rabbitmq, RabbitMQ)
    url = stack.amqp_url("gateway").replace(f":{stack.rabbitmq.port}/", f":{wire.port}/")
    with stack.extra("gateway", GATEWAYS, WARREN_AMQP_URL=url) as lonely:
        await asyncio.to_thread(lonely.wait_ready)
        found = [*stack.gateways, lonely]
        await until(lambda: _all(found, 200, **WELL))
        yield found
        wire.flow()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it."""
    await until_within(condition, within=WITHIN)


@asynccontextmanager
async def an_alarm(stack: Stack) -> AsyncIterator[None]:
    await asyncio.to_thread(rabbitmqctl, stack, "set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        await asyncio.to_thread(rabbitmqctl, stack, "set_vm_memory_high_watermark", USUAL)


@asynccontextmanager
async def no_database(stack: Stack) -> AsyncIterator[None]:
    await asyncio.to_thread(stack.mongodb.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.mongodb.start)


@asynccontextmanager
async def no_broker(stack: Stack) -> AsyncIterator[None]:
    await asyncio.to_thread(stack.rabbitmq.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.rabbitmq.start)


async def said(gateway: Service) -> tuple[int, dict[str, Any]]:
    """Return what a gateway answers when it is asked whether it is ready."""
    async with httpx.AsyncClient(timeout=30, verify=False) as http:  # no TLS: else it loads certificates each time
        answer = await http.get(f"{gateway.url}/readyz")
    return answer.status_code, answer.json()


async def _all(gateways: list[Service], status: int, **checks: bool) -> bool:
    answers = [await said(gateway) for gateway in gateways]
    return all(code == status and checks.items() <= results.items() for code, results in answers)


async def chat(gateway: Service, room: str) -> None:
    """Say something and read, over and over, whatever comes of it."""
    path, headers = f"/v1/rooms/{room}/messages", bearer(token("ann"))
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=PATIENCE) as http:
        for number in itertools.count():
            key = {"Idempotency-Key": f"{gateway.name}-{number}"}
            with contextlib.suppress(httpx.HTTPError):
                await http.post(path, json={"text": "…"}, headers=key)
            with contextlib.suppress(httpx.HTTPError):
                await http.get(path)
            await asyncio.sleep(0.2)  # how often, not a wait for something


@asynccontextmanager
async def chatting(gateways: list[Service]) -> AsyncIterator[None]:
    room = fresh_room("ready")
    async with httpx.AsyncClient() as http:
        await make_room(http, gateways[0].url, room, token("ann"))
    async with background_tasks(*(chat(gateway, room) for gateway in gateways)):
        yield


async def test_one_whose_own_link_is_useless_leaves_and_comes_back(gateways: list[Service], wire: TcpProxy) -> None:
    *others, lonely = gateways
    wire.stall()
    await until(lambda: _all([lonely], 503, broker=False))
    assert await _all(others, 200, **WELL)
    wire.flow()
    await until(lambda: _all([lonely], 200, **WELL))


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        (an_alarm, {"broker": True, "storing": False, "reading": False}),
        (no_database, {"broker": True, "storing": False, "reading": False}),
        (no_broker, {"broker": False}),
    ],
)
async def test_all_stay_and_say_so_while_none_can_work(
    stack: Stack, gateways: list[Service], fault: Callable[[Stack], Any], checks: dict[str, bool]
) -> None:
    """Without any backend a load balancer could not even have people told what is wrong."""

    def in_trouble() -> Awaitable[bool]:
        return _all(gateways, 200, serving=True, **checks)

    async with chatting(gateways):
        async with fault(stack):
            await until(in_trouble)
        await until(lambda: _all(gateways, 200, **WELL))


async def test_one_that_never_could_work_takes_no_place(stack: Stack, gateways: list[Service], wire: TcpProxy) -> None:
    async with no_broker(stack):
        fresh = gateways[-1]
        await asyncio.to_thread(fresh.stop)
        fresh.start()
        await until(lambda: _all(gateways[:-1], 200, broker=False))
        await until(lambda: _answers(fresh))
        assert await _all([fresh], 503, broker=False)


async def _answers(gateway: Service) -> bool:
    try:
        await said(gateway)
    except httpx.HTTPError:
        return False
    return True
