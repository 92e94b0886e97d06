"""A gateway that got no processor for a while serves those who spoke to it in good time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from harness.raw_clients import message, raw_connect
from harness.stack import Stack
from integration.conftest import new_person
from warren.ops.serve import KEEP_ALIVE
from warren_gateway.connections.protocol import HELLO_WITHIN
from warren_local.service import Service

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
STOPPED = max(HELLO_WITHIN, KEEP_ALIVE) + 1.0
"""Seconds: longer than a gateway waits for a hello, or keeps a connection."""

KEPT = 10
"""Connections."""


@pytest.fixture
def gateway(stack: Stack) -> Service:
    return stack.gateways[0]


@asynccontextmanager
async def stopped(gateway: Service) -> AsyncIterator[None]:
    """Stop it, and let it go on when what it waits for is late."""
    gateway.pause()
    try:
        yield
        await asyncio.sleep(STOPPED)
    finally:
        gateway.resume()


async def test_a_request_on_a_kept_connection_is_answered(gateway: Service, http: httpx.AsyncClient) -> None:
    async def ask() -> None:
        assert (await http.get(f"{gateway.url}/healthz")).status_code == 200

    async with asyncio.timeout(WITHIN):
        async with asyncio.TaskGroup() as group:
            for _ in range(KEPT):
                group.create_task(ask())
        async with asyncio.TaskGroup() as group, stopped(gateway):
            for _ in range(KEPT):
                group.create_task(ask())


async def test_a_hello_is_answered(gateway: Service) -> None:
    ann = new_person("ann")
    async with asyncio.timeout(WITHIN), AsyncExitStack() as exits:
        clients = [await raw_connect(gateway.url) for _ in range(KEPT)]
        for client in clients:
            exits.callback(client.abort)
        async with stopped(gateway):
            for client in clients:
                await client.push(message(type="hello", token=ann.token))
        for client in clients:
            assert (await client.read_json("welcome"))["user"]["id"] == ann.id
