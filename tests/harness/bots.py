"""Bots on a stack: their logins and rooms, their processes, and what they have said."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from warren.bot import Bot
from warren.bot.runtime.runner import Runner
from warren.broker.bots import bot_definitions, declare_bot
from warren_local.home import broker_password
from warren_local.rabbitmq import RabbitMQ

from harness.resilient_client import bearer
from harness.stack import Stack
from harness.tokens import token

WITHIN = 60.0
"""Seconds for something to happen; a bound, not an expectation."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Logins:
    """Where each bot connects, and the room that it was given."""

    urls: dict[str, str]
    rooms: dict[str, str]


def give_logins(
    stack: Stack, rooms: Mapping[str, Collection[str]], policies: Iterable[dict[str, Any]] = ()
) -> dict[str, str]:
    """Give each bot its queues, its rooms and a login, in one go: an import starts an Erlang VM. Return their URLs.

    `policies`: of RabbitMQ, besides. Skips the test where the broker's own command is missing.
    """
    asyncio.run(_declare(stack.rabbitmq.url, rooms))
    found: dict[str, list[Any]] = {"policies": list(policies)}
    for name in rooms:
        password = broker_password(stack.home, f"bot.{name}")
        for kind, entries in bot_definitions(name, password).items():
            if isinstance(entries, list):
                found[kind] = [*found.get(kind, []), *(entry for entry in entries if entry not in found.get(kind, []))]
    definitions = stack.home / "bots.json"
    definitions.write_text(json.dumps(found))
    rabbitmqctl(stack, "import_definitions", str(definitions))
    return {name: stack.rabbitmq.url_of(f"bot.{name}") for name in rooms}


def rabbitmqctl(stack: Stack, *arguments: str, program: str = "rabbitmqctl") -> str:
    """Do this with one of the broker's own commands; return what it says. Skips the test where that is missing."""
    if not isinstance(stack.rabbitmq, RabbitMQ):
        pytest.skip("the broker's own command is not on this machine")
    found = stack.rabbitmq.programs()
    command = [str(found.server.with_name(program)), "--silent", *arguments]
    env = {**stack.rabbitmq.env, "PATH": found.path}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=WITHIN)
    return done.stdout


async def _declare(operator_url: str, rooms: Mapping[str, Collection[str]]) -> None:
    for name, given in rooms.items():
        await declare_bot(operator_url, name, given)


async def room_of(http: httpx.AsyncClient, gateway: str, logins: Logins, name: str) -> tuple[str, dict[str, str]]:
    """Make a bot's room if it is not there, ann's; return it and ann's headers."""
    room = logins.rooms[name]
    headers = bearer(token("ann"))
    made = await http.post(f"{gateway}/v1/rooms", json={"room": room}, headers=headers)
    assert made.status_code in (201, 409), made.text
    return room, headers


async def messages(http: httpx.AsyncClient, gateway: str, room: str) -> list[dict[str, Any]]:
    """Return all messages of a room, oldest first."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        answer = await http.get(
            f"{gateway}/v1/rooms/{room}/messages?after={after}&limit=100", headers=bearer(token("ann"))
        )
        page = answer.json()
        found += page["messages"]
        if not page["more"]:
            return found


async def texts_of(http: httpx.AsyncClient, gateway: str, room: str, user: str) -> list[str]:
    """Return what somebody has said in a room, oldest first."""
    return [one["text"] for one in await messages(http, gateway, room) if one["sender"] == user]


async def say(http: httpx.AsyncClient, gateway: str, room: str, *texts: str) -> None:
    """Have ann say something."""
    for text in texts:
        answer = await http.post(
            f"{gateway}/v1/rooms/{room}/messages", json={"text": text}, headers=bearer(token("ann"))
        )
        assert answer.status_code == 201, answer.text


def member(bot: Bot, http: httpx.AsyncClient, gateway: str, room: str) -> Callable[[], Awaitable[bool]]:
    """Return the question whether the bot is a member of the room."""

    async def joined() -> bool:
        answer = await http.get(f"{gateway}/v1/rooms/{room}/members", headers=bearer(token("ann")))
        users: list[str] = [one["user"] for one in answer.json()["members"]]
        return bot.user in users

    return joined


async def until(condition: Callable[[], Awaitable[bool]], every: float = 0.1, within: float = WITHIN) -> None:
    """Wait for something in another process, which has no event to wait for: look at it every so many seconds."""
    try:
        async with asyncio.timeout(within):
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(every)
    except TimeoutError as error:
        what = getattr(condition, "__qualname__", condition)
        raise TimeoutError(f"not within {within:g} s: {what}") from error


def start(*command: str | Path, log: Path, **env: str) -> subprocess.Popen[bytes]:
    """Start a process that finds what this one finds, with its output in a file."""
    with log.open("ab") as file:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **env}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process in order."""
    process.terminate()
    process.wait(30)


@asynccontextmanager
async def at_work(bot: Bot, url: str) -> AsyncIterator[Runner]:
    """Run a bot in this process."""
    runner = Runner(bot, url)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        async with asyncio.timeout(WITHIN):
            await task


async def depth(operator_url: str, queue: str) -> int:
    """Return how many messages lie in a queue, delivered to nobody."""
    async with await aio_pika.connect(operator_url, timeout=WITHIN) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True, timeout=WITHIN)
        return found.declaration_result.message_count or 0


async def consumers(operator_url: str, queue: str) -> int:
    """Return how many consume from a queue."""
    async with await aio_pika.connect(operator_url, timeout=WITHIN) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True, timeout=WITHIN)
        return found.declaration_result.consumer_count or 0


async def warren(stack: Stack, *arguments: str) -> str:
    """Do what an operator does on the command line; return what it says."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WARREN_AMQP_URL": stack.rabbitmq.url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warren.broker", *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(WITHIN):
        said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()
