"""Gives bots their logins and queues on a broker of this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from warren.contract.bots import bot_user

from . import topology
from .errors import LocalError
from .home import broker_password
from .rabbitmq import RabbitMQ

TIMEOUT = 60
"""Seconds for one command; an Erlang VM starts for each."""


def give(home: Path, node: RabbitMQ, name: str, rooms: Sequence[str]) -> str:
    """Make a bot's queues and login, or give it other rooms; return where it connects. Raises LocalError."""
    password = broker_password(home, bot_user(name))
    env = {**os.environ, "WARREN_AMQP_URL": node.url, "WARREN_BOT_PASSWORD": password}
    command = [sys.executable, "-m", "warren.broker", "bot", name, *(f"--room={room}" for room in rooms)]
    definitions = node.data / f"bot-{name}.json"
    definitions.touch(0o600)
    definitions.write_text(_output(command, env))
    json.loads(definitions.read_text())  # what is no JSON would be the command's fault, not the broker's
    _output([*_rabbitmqctl(node), "import_definitions", str(definitions)], node.env)
    definitions.unlink()
    return topology.url(home, node.port, bot_user(name))


def remove(node: RabbitMQ, name: str) -> str:
    """Delete a bot's login, queues and what is in them; return what was done. Raises LocalError."""
    user, ctl = bot_user(name), _rabbitmqctl(node)
    if any(
        found["user"] == user for found in json.loads(_output([*ctl, "list_users", "--formatter", "json"], node.env))
    ):
        _output([*ctl, "delete_user", user], node.env)
    _output([*ctl, "close_all_user_connections", user, "removed"], node.env)
    command = [sys.executable, "-m", "warren.broker", "bot", name, "--remove"]
    _output(command, {**os.environ, "WARREN_AMQP_URL": node.url})
    return f"{user} is gone, with its queues."


def _rabbitmqctl(node: RabbitMQ) -> list[str]:
    return [str(node.programs().server.with_name("rabbitmqctl")), "--silent"]


def _output(command: list[str], env: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"`{' '.join(command)}` took longer than {TIMEOUT} s.") from error
    if done.returncode:
        raise LocalError(done.stderr.strip() or f"`{' '.join(command)}` failed with code {done.returncode}.")
    return done.stdout
