"""The definitions that RabbitMQ loads: one source in Python, a copy for containers, passwords that are never in it."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from warren.broker.definitions import TAKEOVER, definitions, password_variable, template, user_definitions
from warren.contract.bots import bot_queue, bot_rights
from warren.contract.ids import inbox_room
from warren.contract.topology import (
    COMMON_BUCKET,
    EVENTS,
    EXCHANGES,
    QUEUES,
    bots_only_key,
    bucket_binding,
    bundle_key,
    event_key,
    public_key,
)
from warren.contract.users import BROKER_USERS, GATEWAY, PERSISTENCE, BrokerUser, broker_user
from warren_local.home import repository

FOLDER = repository() / "deploy" / "rabbitmq"
PASSWORDS = {password_variable(user.name): f"{user.name}-Pass_1" for user in BROKER_USERS}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "warren.broker", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    return subprocess.run(command, env=clean | env, check=False, capture_output=True, text=True, timeout=60)


def test_the_copy_for_containers_is_what_the_command_writes() -> None:
    shown = run("definitions", "--template")
    assert (FOLDER / "definitions.json").read_text() == shown.stdout
    assert json.loads(shown.stdout) == template()


def test_passwords_are_salted_hashes() -> None:
    done = run("definitions", **PASSWORDS)
    users = json.loads(done.stdout)["users"]
    assert [user["name"] for user in users] == [user.name for user in BROKER_USERS]
    for user in users:
        raw = base64.b64decode(user["password_hash"])
        password = PASSWORDS[password_variable(user["name"])]
        assert raw[4:] == hashlib.sha512(raw[:4] + password.encode()).digest()
        assert password not in done.stdout
    assert definitions({"gateway": "x"})["users"] != definitions({"gateway": "x"})["users"]


def test_a_password_that_is_not_set_is_an_error_with_its_name() -> None:
    done = run("definitions", **{name: value for name, value in PASSWORDS.items() if "PRESENCE" not in name})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "warren: set WARREN_PRESENCE_PASSWORD\n"


def test_users_with_and_without_their_passwords_have_the_same_rights() -> None:
    filled = definitions({user.name: "x" for user in BROKER_USERS})
    for part in ("exchanges", "permissions", "topic_permissions", "vhosts"):
        assert filled[part] == template()[part]


def test_every_exchange_that_rights_to_topics_name_is_there_before_them() -> None:
    """RabbitMQ 4.3 does not start with rights to one that is not, a bot's included."""
    bot = user_definitions(bot_rights("echo"), "x")
    for found in (template(), bot):
        made = {exchange["name"]: exchange["type"] for exchange in found["exchanges"]}
        assert {permission["exchange"] for permission in found["topic_permissions"]} == set(made)
        assert made.items() <= {exchange.name: exchange.kind for exchange in EXCHANGES}.items()


def test_no_service_takes_them_for_the_whole_topology() -> None:
    """`declare` makes the exchanges last, so that whoever finds all of its own may count on the queues."""
    there = {exchange["name"] for exchange in template()["exchanges"]}
    for user in BROKER_USERS:
        assert {exchange.name for exchange in EXCHANGES if user.reaches(exchange.name)} - there


def test_every_queue_of_a_single_active_consumer_is_taken_over_soon() -> None:
    """By one policy, since RabbitMQ heeds one a queue. Where people wait, it is taken from who keeps it, too."""
    shared = [queue.name for queue in QUEUES if queue.arguments.get("x-single-active-consumer")]
    for name in (*shared, bot_queue("echo").name):
        (found,) = [policy for policy in template()["policies"] if re.search(policy["pattern"], name)]
        assert found["definition"]["consumer-disconnected-timeout"] == TAKEOVER
        assert ("consumer-timeout" in found["definition"]) == (name in shared)


def test_only_the_operator_is_an_administrator() -> None:
    assert [user.name for user in BROKER_USERS if user.tags] == ["operator"]


def test_a_declaration_that_cannot_be_made_says_where_and_never_the_password() -> None:
    done = run("declare", "amqp://operator:hush@127.0.0.1:1/")
    assert done.returncode == 1
    assert done.stderr.startswith("warren: the broker at 127.0.0.1:1 is not to be had: ")
    assert "hush" not in done.stdout + done.stderr
    assert run("declare").stderr == "warren: name the broker, as its operator: set WARREN_AMQP_URL\n"


@pytest.mark.parametrize("room", ["a", "general", "a_b-c9", "x" * 64, inbox_room("Ann@example.org")])
def test_the_rights_to_keys_fit_the_keys_in_use(room: str) -> None:
    (writes,) = [topic.write for topic in PERSISTENCE.topics if topic.exchange == EVENTS]
    (reads,) = [topic.read for topic in GATEWAY.topics if topic.exchange == EVENTS]
    for key in (event_key(room), public_key(room), bots_only_key(room)):
        assert re.search(writes, key)
    for number in (0, 4_095, COMMON_BUCKET):
        assert re.search(reads, bucket_binding(number))
        assert re.search(writes, bundle_key(number))


@pytest.mark.parametrize("user", [user for user in BROKER_USERS if not user.tags], ids=lambda user: user.name)
def test_no_right_reaches_beyond_whole_names(user: BrokerUser) -> None:
    for name in (
        "x.warren.commands",
        "warren.commands.0",
        "warren.eventsx",
        "warren-live",
        "amq.default.x",
        "amq.topic",
    ):
        assert not user.reaches(name)
    assert broker_user(user.name) is user


class Container:
    """Stands in for RabbitMQ's image: its entry point tells what it was asked to start."""

    def __init__(self, root: Path) -> None:
        self.filled = root / "filled.json"
        entry = root / "docker-entrypoint.sh"
        entry.write_text('#!/bin/sh\necho "$@"\n')
        entry.chmod(0o755)
        self.env = {"PATH": f"{root}:{os.environ['PATH']}", "WARREN_DEFINITIONS": str(self.filled)}

    def start(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(FOLDER / "start.sh"), *arguments]
        return subprocess.run(
            command, env=self.env | env, check=False, capture_output=True, text=True, timeout=60
        )  # fmt: skip


def test_a_container_starts_with_the_passwords_filled_in(tmp_path: Path) -> None:
    container = Container(tmp_path)
    done = container.start(**PASSWORDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "rabbitmq-server\n", "")
    filled = json.loads(container.filled.read_text())
    assert {user["name"]: user["password"] for user in filled["users"]} == {
        user.name: PASSWORDS[password_variable(user.name)] for user in BROKER_USERS
    }
    assert {**filled, "users": []} == {**template(), "users": []}
    assert container.filled.stat().st_mode & 0o077 == 0


def test_a_container_that_prepares_another_fills_them_in_and_ends(tmp_path: Path) -> None:
    container = Container(tmp_path)
    done = container.start("true", **PASSWORDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "true\n", "")
    assert {**json.loads(container.filled.read_text()), "users": []} == {**template(), "users": []}


@pytest.mark.parametrize("password", ["", 'quo"te', "sla/sh", "new\nline", "a&b", "back\\slash", "$HOME"])
def test_a_container_with_a_password_that_would_not_fit_does_not_start(tmp_path: Path, password: str) -> None:
    container = Container(tmp_path)
    done = container.start(**{**PASSWORDS, "WARREN_GATEWAY_PASSWORD": password})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("WARREN_GATEWAY_PASSWORD must be set")
    assert not container.filled.exists()
