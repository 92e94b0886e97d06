"""A bot's login by RabbitMQ's management API, which containers use: they have no rabbitmqctl at hand."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import aio_pika
import pytest
from conftest import BASE_PORT
from harness.stack import Stack
from warren_local.binaries import find_rabbitmq
from warren_local.ports import HOST
from warren_local.rabbitmq import RabbitMQ

PASSWORD = "let-me-in-0123456789"
PORT = BASE_PORT + 350
WITHIN = 120
"""Seconds for a command; an Erlang VM starts for each."""


def ctl(stack: Stack, program: str, *arguments: str) -> None:
    found = find_rabbitmq()
    assert found is not None
    assert isinstance(stack.rabbitmq, RabbitMQ)
    env = {**stack.rabbitmq.env, "PATH": found.path}
    subprocess.run(
        [found.server.with_name(program), *arguments], env=env, check=True, capture_output=True, timeout=WITHIN
    )


@pytest.fixture(scope="module")
def management(stack: Stack) -> Iterator[str]:
    """Return where the broker's management API is."""
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("RabbitMQ runs in a container here, whose image has no management")
    options = f'[{{port, {PORT}}}, {{ip, "{HOST}"}}]'
    ctl(
        stack,
        "rabbitmqctl",
        "eval",
        f"application:set_env(rabbitmq_management, tcp_config, {options}, [{{persistent, true}}]).",
    )
    ctl(stack, "rabbitmq-plugins", "enable", "rabbitmq_management")
    yield f"http://{HOST}:{PORT}"
    ctl(stack, "rabbitmq-plugins", "disable", "rabbitmq_management", "rabbitmq_management_agent")


def give(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "warren.broker", "bot", "imported", "--room", "general", *arguments]
    env = {**os.environ, "WARREN_AMQP_URL": url, "WARREN_BOT_PASSWORD": PASSWORD}
    return subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=WITHIN)


async def test_a_bot_gets_its_login_and_may_get_it_again(stack: Stack, management: str) -> None:
    for _ in range(2):
        done = give(stack.amqp_url("operator"), "--management", management)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "bot.imported can log in.\n")
    operator = urlsplit(stack.amqp_url("operator"))
    async with await aio_pika.connect(f"amqp://bot.imported:{PASSWORD}@{HOST}:{operator.port}/") as connection:
        channel = await connection.channel()
        await channel.get_queue("bot.imported")


async def test_whoever_is_no_operator_imports_nothing(stack: Stack, management: str) -> None:
    operator, gateway = stack.amqp_url("operator"), stack.amqp_url("gateway")
    done = give(operator.replace("@", "x@"), "--management", management)
    assert done.returncode == 1
    done = give(gateway, "--management", management)
    assert (done.returncode, done.stdout) == (1, "")


async def test_what_cannot_be_reached_is_said_without_passwords(stack: Stack) -> None:
    for url, said in (
        (f"http://{HOST}:1", f"warren: http://{HOST}:1/api/definitions is not to be had: "),
        ("ftp://rabbitmq", "warren: ftp://rabbitmq is no http or https URL\n"),
    ):
        done = give(stack.amqp_url("operator"), "--management", url)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(said)
        assert PASSWORD not in done.stderr


async def test_without_it_the_definitions_are_printed(stack: Stack) -> None:
    done = give(stack.amqp_url("operator"))
    assert [user["name"] for user in json.loads(done.stdout)["users"]] == ["bot.imported"]
