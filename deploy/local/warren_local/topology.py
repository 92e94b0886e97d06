"""Users and topology of the local broker."""

import json
import os
import subprocess
import sys
from pathlib import Path

from warren.broker.definitions import definitions
from warren.contract.users import BROKER_USERS, OPERATOR

from .errors import LocalError
from .home import broker_password
from .ports import HOST

DECLARE_TIMEOUT = 120
"""Seconds for all declarations: some 50, and a loaded machine needs tens of milliseconds for a quorum queue."""

USERS = tuple(user.name for user in BROKER_USERS)
ADMINISTRATOR = OPERATOR.name


def passwords(home: Path) -> dict[str, str]:
    """The password of each of the broker's users."""
    return {user: broker_password(home, user) for user in USERS}


def users(home: Path) -> str:
    """The definitions file that a node of this home loads when it boots."""
    return json.dumps(definitions(passwords(home)))


def url(home: Path, port: int, user: str = ADMINISTRATOR) -> str:
    """Where a user connects; by the heartbeat the broker gives up who is silent, within 20 s."""
    return f"amqp://{user}:{broker_password(home, user)}@{HOST}:{port}/?heartbeat=10"


def declare(operator_url: str) -> None:
    """Make the exchanges and queues that services count on, as an operator would; raises LocalError."""
    command = [sys.executable, "-m", "warren.broker", "declare"]
    env = {**os.environ, "WARREN_AMQP_URL": operator_url}  # not an argument: any user of the machine may read those
    try:
        done = subprocess.run(
            command, env=env, check=False, capture_output=True, text=True, timeout=DECLARE_TIMEOUT
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"The broker did not take the topology within {DECLARE_TIMEOUT} s.") from error
    if done.returncode:
        raise LocalError(done.stderr.strip() or f"`{' '.join(command)}` failed with code {done.returncode}.")
