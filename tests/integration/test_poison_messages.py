"""What is not a command goes to the dead letters, with the reason; everything beside it is stored."""

import json
from typing import Any

import pytest
from harness.broker_client import BrokerClient, send_command
from harness.checker import check, read_store
from harness.stack import Stack
from integration.conftest import Place
from warren.contract.ids import new_id
from warren.contract.topology import COMMANDS, SHARDS, shard, shard_key


def mark() -> str:
    """Return a text by which a dead letter is found again."""
    return f"poison-{new_id()}"


async def publish(broker: BrokerClient, place: Place, body: bytes) -> None:
    await broker.publish(COMMANDS, shard_key(shard(place.room)), body)


async def assert_writer_lives(broker: BrokerClient, place: Place, stack: Stack) -> None:
    await broker.fill(place.room, place.ann.id, ["and on"])
    assert all(replica.running for replica in stack.persistence)
    assert check([], read_store(stack.mongodb.url, [place.room])) == []


GARBAGE = {
    "not JSON": b"%s",
    "half an object": b'{"commands":[{"type":"%s',
    "not UTF-8": b'"\xff\xfe%s',
    "a string": b'"%s"',
    "an array": b'["%s"]',
    "another object": b'{"orders":"%s"}',
    "commands that are no list": b'{"commands":"%s"}',
    "commands that are an object": b'{"commands":{"0":"%s"}}',
    "commands that are null": b'{"commands":null,"x":"%s"}',
    "too deep": b'{"x":"%s","commands":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a megabyte": b"%s" + b"x" * 2**20,
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_no_batch_is_dead_lettered_whole_with_its_reason(
    broker: BrokerClient, place: Place, stack: Stack, body: bytes
) -> None:
    found = mark().encode()
    body = body.replace(b"%s", found)
    await publish(broker, place, body)
    letter = await broker.dead(found)
    assert letter.body == body
    assert letter.headers["reason"]
    assert letter.headers["source"] == f"warren.commands.{shard(place.room):02d}"
    assert str(letter.headers["replica"]).startswith("persistence-")
    assert letter.headers["at"]
    await assert_writer_lives(broker, place, stack)


def bad_commands(place: Place) -> dict[str, Any]:
    good = send_command(place.room, place.ann.id, "x")
    return {
        "a number": 5,
        "null": None,
        "a string": "send",
        "an array": [good],
        "an empty object": {},
        "an unknown type": {**good, "type": "zork"},
        "no text": {name: value for name, value in good.items() if name != "text"},
        "a blank text": {**good, "text": " "},
        "a text too long": {**good, "text": "x" * 4_001},
        "a room out of syntax": {**good, "room": "No Room"},
        "a sender out of syntax": {**good, "sender": "no body"},
        "a key out of syntax": {**good, "key": "ü"},
        "a number of 4,000 digits": {**good, "key": "", "reply_to": 10**4_000},
        "a lone surrogate": {**good, "text": "hi \ud83d"},
    }


NAMES = (
    "a number", "null", "a string", "an array", "an empty object", "an unknown type", "no text", "a blank text",
    "a text too long", "a room out of syntax", "a sender out of syntax", "a key out of syntax",
    "a number of 4,000 digits", "a lone surrogate",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_one_bad_command_in_a_batch_is_dead_lettered_alone(
    broker: BrokerClient, place: Place, stack: Stack, name: str
) -> None:
    bad = bad_commands(place)[name]
    found = mark()
    if isinstance(bad, dict):
        bad = {**bad, "id": found}
    elif isinstance(bad, list):
        bad[0]["id"] = found
    else:
        bad = found if isinstance(bad, str) else bad
    good = [send_command(place.room, place.ann.id, f"good {number}") for number in range(4)]
    body = json.dumps({"commands": [*good[:2], bad, *good[2:]]}).encode()
    await publish(broker, place, body)
    replies = await broker.replies(4)
    assert [replies[command["id"]]["type"] for command in good] == ["accepted"] * 4
    assert [replies[command["id"]]["seq"] for command in good] == [3, 4, 5, 6]
    letter = await broker.dead(found.encode() if not isinstance(bad, int | None) else json.dumps([bad]).encode())
    assert str(letter.headers["reason"]).startswith("not a command")
    assert b"good" not in letter.body
    await assert_writer_lives(broker, place, stack)


async def test_a_command_on_the_wrong_shard_is_dead_lettered_and_not_stored(
    broker: BrokerClient, place: Place, stack: Stack
) -> None:
    """Two writers in one room would break its order."""
    wrong = send_command(place.room, place.ann.id, "astray")
    await broker.command(wrong, to=(shard(place.room) + 1) % SHARDS)
    letter = await broker.dead(wrong["id"].encode())
    assert "wrong shard" in str(letter.headers["reason"])
    assert json.loads(letter.body)["commands"][0]["text"] == "astray"
    await assert_writer_lives(broker, place, stack)
    texts = [event.get("text") for event in read_store(stack.mongodb.url, [place.room])[place.room]]
    assert "astray" not in texts


async def test_an_empty_batch_is_nothing(broker: BrokerClient, place: Place, stack: Stack) -> None:
    await publish(broker, place, b'{"commands":[]}')
    await assert_writer_lives(broker, place, stack)


async def test_a_field_of_a_newer_replica_is_no_poison(broker: BrokerClient, place: Place, stack: Stack) -> None:
    command = send_command(place.room, place.ann.id, "from the future", priority={"level": 3})
    await broker.command(command)
    assert (await broker.replies(1))[command["id"]]["type"] == "accepted"
    await assert_writer_lives(broker, place, stack)


async def test_refused_and_repeated_commands_leave_no_gap(broker: BrokerClient, place: Place, stack: Stack) -> None:
    first = send_command(place.room, place.ann.id, "one")
    stranger = send_command(place.room, place.eve.id, "no member")
    again = {**first, "id": new_id(), "name": "by another name"}
    last = send_command(place.room, place.ann.id, "two")
    await broker.command(first, stranger, again, last)
    replies = await broker.replies(4)
    assert replies[stranger["id"]]["code"] == "forbidden"
    assert [replies[command["id"]]["seq"] for command in (first, again, last)] == [3, 3, 4]
    await assert_writer_lives(broker, place, stack)
