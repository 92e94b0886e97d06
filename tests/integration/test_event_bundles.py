"""Events of many rooms that go out in one message: each room's readers and bots get theirs, once and in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from harness.broker_client import WITHIN, BrokerClient, send_command
from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room, join_room, make_room
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Person, new_person, seqs
from warren.broker.bots import declare_bot, remove_bot
from warren.contract.bots import ANY_ROOM, bot_user
from warren.contract.bundles import BUNDLE, read_bundle
from warren.contract.topology import COMMON_BUCKET, EVENTS, SHARDS, bucket, bundle_key, event_key, public_key, shard
from warren_persistence.publishing.event_messages import EXACT_BUCKETS
from warren_persistence.publishing.unbound_keys import UNBOUND_FOR

Messages = asyncio.Queue[AbstractIncomingMessage]


def rooms_of_a_shard(count: int) -> list[str]:
    """Return rooms that are not there yet, each in a bucket of its own: what one message says in them is one commit."""
    found: dict[int, dict[int, str]] = {number: {} for number in range(SHARDS)}
    while True:
        room = fresh_room("bundle")
        same = found[shard(room)]
        same[bucket(room)] = room
        if len(same) == count:
            return list(same.values())


async def people(http: httpx.AsyncClient, gateways: list[str], rooms: list[str], kind: str = "public") -> Person:
    """Make the rooms; return whose they are."""
    ann = new_person("ann")
    for room in rooms:
        await make_room(http, gateways[0], room, ann.token, kind)
    return ann


@pytest.fixture
async def operator(stack: Stack) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        yield await connection.channel()


async def listen(channel: AbstractChannel, *keys: str) -> Messages:
    """Take in what goes by these keys."""
    queue, found = await channel.declare_queue(exclusive=True), Messages()
    for key in keys:
        await queue.bind(EVENTS, key)
    await queue.consume(found.put, no_ack=True)
    return found


async def hear(channel: AbstractChannel, queue: str) -> Messages:
    """Take in what comes to a queue."""
    found = Messages()
    await (await channel.get_queue(queue, ensure=False)).consume(found.put, no_ack=True)
    return found


async def until_text(messages: Messages, text: str) -> list[AbstractIncomingMessage]:
    """Return what comes, up to the message of one room that ends with this text."""
    found: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(WITHIN):
        while not found or text not in texts(found[-1]):
            found.append(await messages.get())
    return found


def texts(message: AbstractIncomingMessage) -> list[str]:
    """Return what is said in a message of one room."""
    return [str(event.get("text")) for event in json.loads(message.body)["events"]]


async def say(broker: BrokerClient, user: str, rooms: list[str], text: str) -> dict[str, int]:
    """Say something in each of the rooms, in one commit; return where it stands in each."""
    commands = [send_command(room, user, text) for room in rooms]
    await broker.command(*commands)
    found = await broker.replies(len(commands))
    return {command["room"]: int(found[command["id"]]["seq"]) for command in commands}


async def test_a_bundle_comes_to_the_readers_of_each_of_its_rooms(
    gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    rooms = rooms_of_a_shard(5)
    ann, bob = await people(http, gateways, rooms), new_person("bob")
    for room in rooms[:3]:
        await join_room(http, gateways[0], room, bob.token)
    seen = await listen(operator, bundle_key(bucket(rooms[0])))
    async with connect(gateways[0], bob.token) as one, connect(gateways[1], ann.token) as two:
        for room in rooms[:3]:
            await one.join(room)
        for room in rooms[2:]:
            await two.join(room)
        for number in range(3):
            heads = await say(broker, ann.id, rooms, f"number {number}")
        for client, followed in ((one, rooms[:3]), (two, rooms[2:])):
            for room in followed:
                found = await client.events(room, heads[room])
                assert [event["text"] for event in found] == [f"number {number}" for number in range(3)]
                assert seqs(found) == list(range(heads[room] - 2, heads[room] + 1))
    for _ in range(3):
        async with asyncio.timeout(WITHIN):
            bundle = await seen.get()
        index, runs = read_bundle(bundle.body, set(rooms))
        assert bundle.type == BUNDLE
        assert "BCC" not in bundle.headers
        assert sorted(index.rooms) == sorted(rooms) == sorted(run.room for run in runs)


async def test_a_bundle_of_many_buckets_comes_to_every_gateway(
    gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    rooms = rooms_of_a_shard(EXACT_BUCKETS + 1)
    ann = new_person("ann")
    await run_concurrently(*(make_room(http, gateways[0], room, ann.token) for room in rooms))
    seen = await listen(operator, bundle_key(COMMON_BUCKET))
    async with connect(gateways[0], ann.token) as one, connect(gateways[1], ann.token) as two:
        await one.join(rooms[0])
        await two.join(rooms[-1])
        heads = await say(broker, ann.id, rooms, "to all")
        assert [event["text"] for event in await one.events(rooms[0], heads[rooms[0]])] == ["to all"]
        assert [event["text"] for event in await two.events(rooms[-1], heads[rooms[-1]])] == ["to all"]
    async with asyncio.timeout(WITHIN):
        assert len(read_bundle((await seen.get()).body, ())[0].rooms) == len(rooms)


async def test_what_is_large_goes_alone(
    gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    rooms = rooms_of_a_shard(3)
    ann = await people(http, gateways, rooms)
    seen = await listen(operator, *map(event_key, rooms))
    commands = [send_command(room, ann.id, text) for room, text in zip(rooms, ("a", "b", "🐇" * 4_000), strict=True)]
    await broker.command(*commands)
    await broker.replies(3)
    async with asyncio.timeout(WITHIN):
        assert json.loads((await seen.get()).body)["room"] == rooms[2]
    assert seen.empty()


async def test_bots_get_a_message_a_room_from_a_bundle(
    stack: Stack, gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    """By hand, as a bot in any language: one of a single room, one of all public ones. None hears a private one."""
    rooms = rooms_of_a_shard(4)
    ann, private = await people(http, gateways, rooms[:3]), rooms[3]
    await make_room(http, gateways[0], private, ann.token, "private")
    bots = {"bundled-one": [rooms[1]], "bundled-all": [ANY_ROOM]}
    try:
        for name, given in bots.items():
            await declare_bot(stack.rabbitmq.url, name, given)
        one, everything = [await hear(operator, bot_user(name)) for name in bots]
        for text in ("first", "second"):
            heads = await say(broker, ann.id, rooms, text)
        await say(broker, ann.id, [rooms[1]], "alone")
        heard = await until_text(one, "alone")
        assert [texts(message) for message in heard] == [["first"], ["second"], ["alone"]]
        for message, seq in zip(heard, range(heads[rooms[1]] - 1, heads[rooms[1]] + 2), strict=True):
            place: dict[str, Any] = {name: message.headers[name] for name in ("first", "last", "number")}
            assert place == {"first": seq, "last": seq, "number": seq - 1}
            assert {"epoch", "stored"} < set(message.headers)
            assert (message.type, str(message.routing_key).rpartition(".")[2]) == (None, rooms[1])
        all_heard = [
            (json.loads(message.body)["room"], text)
            for message in await until_text(everything, "alone")
            for text in texts(message)
        ]
        assert private not in {room for room, _ in all_heard}
        for room in rooms[:3]:
            said = ["first", "second", *(["alone"] if room == rooms[1] else [])]
            assert [text for where, text in all_heard if where == room] == said
    finally:
        for name in bots:
            await remove_bot(stack.rabbitmq.url, name)


async def test_a_bot_that_is_given_a_room_in_which_people_speak_hears_it_soon(
    stack: Stack, gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    """The writer has found that nobody was bound to it, and believes it for a while."""
    rooms, name = rooms_of_a_shard(2), "bundled-late"
    ann = await people(http, gateways, rooms)
    await say(broker, ann.id, rooms, "nobody hears this")
    try:
        await declare_bot(stack.rabbitmq.url, name, [rooms[0]])
        heard, number = await hear(operator, bot_user(name)), 0
        async with asyncio.timeout(WITHIN + UNBOUND_FOR):
            while heard.empty():
                number += 1
                await say(broker, ann.id, rooms, f"number {number}")
        await say(broker, ann.id, rooms, "and on")
        found = [text for message in await until_text(heard, "and on") for text in texts(message)]
        assert found == [*(f"number {one}" for one in range(number - len(found) + 2, number + 1)), "and on"]
    finally:
        await remove_bot(stack.rabbitmq.url, name)


async def test_what_no_bot_hears_is_not_published(
    gateways: list[str], http: httpx.AsyncClient, broker: BrokerClient, operator: AbstractChannel
) -> None:
    """A queue that is bound hears of it until then; another room's is found unbound by itself."""
    rooms = rooms_of_a_shard(2)
    ann = await people(http, gateways, rooms)
    await say(broker, ann.id, rooms, "nobody hears this")
    seen = await listen(operator, public_key(rooms[0]), bundle_key(bucket(rooms[0])))
    await say(broker, ann.id, rooms, "nor this")
    async with asyncio.timeout(WITHIN):
        assert (await seen.get()).type == BUNDLE
    await say(broker, ann.id, [rooms[0]], "alone")
    assert [texts(message) for message in await until_text(seen, "alone")] == [["alone"]]
