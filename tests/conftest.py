"""Fixtures that all tests share."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from aio_pika.connection import Connection
from warren_local.home import warren_home
from warren_local.pidfile import clear_all

sys.path.insert(0, str(Path(__file__).parent))

from harness.fork_server import ForkedService
from harness.http_transport import http_client
from harness.outage import table
from harness.rabbitmq_4 import CHOICE
from harness.stack import Stack

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Which of the processes that share the tests this is; each has servers of its own."""
BASE_PORT = int(os.environ.get("WARREN_TEST_PORT", "16000")) + 5_000 * WORKER
"""The first port of the tests' processes; each stack takes 500."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch between the short form of fault runs and the long one, and another version to upgrade from."""
    parser.addoption("--long", action="store_true", help="run the long form of fault and load tests")
    parser.addoption("--rabbitmq", choices=["4"], help="run on RabbitMQ 4, where the machine's own is an older one")
    parser.addoption("--cluster", action="store_true", help="break clusters of both servers in every way, and measure")
    parser.addoption("--older", type=Path, metavar="PATH", help="a checkout with its .venv, to be upgraded under load")


def pytest_configure(config: pytest.Config) -> None:
    """Let stacks know which RabbitMQ is wanted; one may say so in the environment, too.

    Connections that were refused are dropped: aio-pika would begin to close one whenever it is collected, which is a
    warning in another test if no loop is running then. Services are forked, most of whose start is their imports.
    """
    Stack.service = ForkedService
    Connection.__del__ = lambda _: None  # type: ignore[method-assign]
    if chosen := config.getoption("--rabbitmq"):
        os.environ[CHOICE] = chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the cluster's faults have cost."""
    for line in table():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def home() -> Path:
    """Return where the tests' processes keep data and logs: empty, and without leftovers of a killed run."""
    home = warren_home() / (f"tests-{WORKER}" if WORKER else "tests")
    for stack_home in home.glob("*"):
        clear_all(stack_home)
    shutil.rmtree(home, ignore_errors=True)
    return home


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[Stack]:
    """Start all of Warren once for the tests that kill nothing."""
    plugins = ("rabbitmq_management", "rabbitmq_prometheus")
    stack = Stack(home / "stack", BASE_PORT, presence=2, env={"WARREN_LOG_LEVEL": "debug"}, plugins=plugins)
    with stack.running():
        yield stack


@pytest.fixture
def gateways(stack: Stack) -> list[str]:
    """Return the base URLs of the gateways; not kept for the session, since some folders have a stack of their own."""
    return [gateway.url for gateway in stack.gateways]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Return an HTTP client."""
    async with http_client() as client:
        yield client
