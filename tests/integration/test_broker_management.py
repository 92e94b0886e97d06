"""A bot's login by RabbitMQ's management API, which containers use: they have no rabbitmqctl at hand."""

import asyncio
import json
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
import yaml
from harness.manifests import KUBERNETES
from harness.stack import Stack
from prometheus_client.parser import text_string_to_metric_families
from warren.contract.bots import bot_dead_exchange, bot_dead_queue, bot_queue, bot_rooms_exchange
from warren.contract.topology import SHARDS
from warren_local import bots
from warren_local.ports import HOST
from warren_local.rabbitmq import RabbitMQ

COMPONENTS = KUBERNETES / "components"
PASSWORD = "let-me-in-0123456789"
WITHIN = 120
"""Seconds for a command; an Erlang VM starts for each."""


@pytest.fixture
def management(stack: Stack) -> str:
    """Return where the management API is."""
    return f"http://{stack.plugin_address('rabbitmq_management')}"


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


async def gone(stack: Stack, url: str, name: str) -> bool:
    """Whether neither its login nor anything of its own is left."""
    try:
        await (await aio_pika.connect(url, timeout=WITHIN)).close()
    except aio_pika.exceptions.AMQPError:
        pass
    else:
        return False
    async with await aio_pika.connect(stack.rabbitmq.url) as operator:
        for queue in (bot_queue(name).name, bot_dead_queue(name).name):
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await (await operator.channel()).get_queue(queue)
        for exchange in (bot_rooms_exchange(name).name, bot_dead_exchange(name).name):
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await (await operator.channel()).get_exchange(exchange)
    return True


async def test_a_bot_is_removed_with_all_that_is_its_own_while_it_is_at_work(stack: Stack, management: str) -> None:
    give(stack.amqp_url("operator"), "--management", management)
    url = f"amqp://bot.imported:{PASSWORD}@{HOST}:{urlsplit(stack.amqp_url('operator')).port}/"
    bot = await aio_pika.connect(url)
    for _ in range(2):
        done = give(stack.amqp_url("operator"), "--management", management, "--remove")
        assert (done.returncode, done.stdout) == (0, "The queues of bot.imported are gone.\n"), done.stderr
    assert await gone(stack, url, "imported")
    await bot.close()


async def test_on_a_machine_of_ones_own_a_bot_is_removed_by_name(stack: Stack) -> None:
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("RabbitMQ runs in a container here")
    url = await asyncio.to_thread(bots.give, stack.home, stack.rabbitmq, "passing", ["general"])
    await (await aio_pika.connect(url)).close()
    for _ in range(2):
        said = await asyncio.to_thread(bots.remove, stack.rabbitmq, "passing")
        assert said == "bot.passing is gone, with its queues."
    assert await gone(stack, url, "passing")


async def test_scalers_find_what_waits_in_each_queue(stack: Stack, http: httpx.AsyncClient) -> None:
    monitors = (COMPONENTS / "monitoring" / "monitors.yaml").read_text()
    ((path, params),) = re.findall(r"path: (/metrics/detailed)\n +params: (\{.*\})", monitors)
    address = f"http://{stack.plugin_address('rabbitmq_prometheus')}{path}"
    text = (await http.get(address, params=yaml.safe_load(params))).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    scalers = (COMPONENTS / "keda" / "scalers.yaml").read_text()
    queries = re.findall(r'query: .*?(rabbitmq_\w+)\{.*queue=~"([^"]+)"', scalers)
    assert len(queries) == 2
    for name, pattern in queries:
        queues = {sample.labels["queue"] for sample in samples if sample.name == name}
        assert len([queue for queue in queues if re.fullmatch(pattern, queue)]) == SHARDS
