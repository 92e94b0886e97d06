"""The short form of `./dev fuzz`: the same cases each time, through all ways in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conftest import BASE_PORT
from fuzz.client import Client, clients, own_browser
from fuzz.environment import start_environment
from fuzz.run import Run
from harness.stack import Stack

SEED = 14
WINDOWS, LONG = 2, 40
"""Looks at everything, with cases between them; in the long form more."""


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own: gateways that do not exist would puzzle the others' presence for a while."""
    stack = Stack(home / "fuzz", BASE_PORT + 2_000, presence=1)
    with stack.running():
        yield stack


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with own_browser() as browser, clients(browser) as found:
        yield found


async def test_whatever_comes_in_nothing_ends_nobody_waits_and_all_is_right(
    stack: Stack, client: Client, request: pytest.FixtureRequest
) -> None:
    said: list[str] = []
    async with start_environment(stack, ("frames", "http", "broker", "client"), client) as hostile:
        run = Run(hostile, SEED, said.append)
        for _ in range(LONG if request.config.getoption("--long") else WINDOWS):
            await run.window()
    assert not said, "\n".join(said)
    assert await hostile.violations() == []
