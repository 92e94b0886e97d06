"""`WARREN_AMQP_URL` names the nodes of a cluster, and a process takes one after the other until one works."""

import time

import pytest
from warren.broker.nodes import Node, Nodes
from warren.contract.nodes import host_of, node_urls, vhost_of
from warren.contract.users import login_of
from warren.ops.settings import read_settings
from warren_presence.config import Settings

THREE = "amqp://gateway:hush@one:1/?heartbeat=10,amqp://gateway:hush@two , amqps://gateway:hush@[::1]/"


def test_a_url_names_one_node_or_several() -> None:
    assert node_urls("amqp://guest@one/") == ("amqp://guest@one/",)
    assert [host_of(url) for url in node_urls(THREE)] == ["one:1", "two:5672", "::1:5671"]
    assert node_urls("amqp://one,amqp://one") == ("amqp://one",)
    assert login_of(THREE) == "gateway"
    assert [vhost_of(url) for url in ("amqp://one", "amqp://one/", "amqp://one/%2F", "amqp://one/a")] == ["/"] * 3 + [
        "a"
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "must be amqp://"),
        ("one:5672", "must be amqp://"),
        ("http://one", "must be amqp://"),
        ("amqp:one", "must be amqp://"),
        ("amqp://gateway:hush@one,two", "one for each node"),
        ("amqp://gateway:hush@one,gateway:hush@two", "one for each node"),
        ("amqp://gateway:hush@one,", "one for each node"),
        ("amqp://gateway:hu,sh@one", "a comma is %2C"),
        ("amqp://gateway:hush@:5672", "has no host"),
        ("amqp://gateway:hush@one:hush", "a port that is none"),
        ("amqp://gateway:hush@one:0", "a port that is none"),
        ("amqp://gateway:hush/hush@one", "a slash %2F"),
        ("amqp://gateway:hush@one,amqp://presence:hush@two", "the same user"),
        ("amqp://gateway:hush@one/a,amqp://gateway:hush@two/b", "the same vhost"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(
    wrong: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        node_urls(wrong)
    assert "hush" not in str(raised.value)
    monkeypatch.setenv("WARREN_AMQP_URL", wrong)
    with pytest.raises(SystemExit):
        read_settings("presence", Settings)
    said = capsys.readouterr().err
    assert said.startswith("presence: WARREN_AMQP_URL: ")
    assert "hush" not in said


def test_a_node_is_shown_without_the_password() -> None:
    assert Node("amqp://gateway:hush@one/a").where == {"user": "gateway", "host": "one:5672", "vhost": "a"}


def test_processes_do_not_all_begin_with_the_same_node() -> None:
    assert len({Nodes(THREE).best.url for _ in range(100)}) == 3


def test_the_node_that_failed_last_is_tried_last() -> None:
    nodes = Nodes(THREE)
    tried = []
    for _ in range(6):
        node = nodes.best
        tried.append(node.url)
        node.failed(time.monotonic())
    assert len(set(tried[:3])) == 3
    working = nodes.best
    working.worked()
    assert nodes.best is working


def test_a_failure_that_all_connections_tell_of_is_one() -> None:
    node = Node("amqp://one")
    since = time.monotonic()
    node.failed(since)
    due = node.due
    node.failed(since)
    assert node.due == due
    for _ in range(20):
        node.failed(time.monotonic())
    assert node.due - time.monotonic() <= 3.0  # the most that is waited, however often it has failed


def test_who_finds_no_majority_twice_waits_for_the_election() -> None:
    nodes = Nodes(THREE)
    assert nodes.patience_with_elections() == nodes.patience
    nodes.abandon(nodes.best)
    assert nodes.patience_with_elections() > nodes.patience
