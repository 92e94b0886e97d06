"""Whatever the broker delivers: no service ends, every command is answered or dead-lettered, and nobody waits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import hypothesis.strategies as st
import pytest
from aio_pika.abc import AbstractChannel
from harness.bots import depth, give_logins, rabbitmqctl, until
from harness.broker_client import WITHIN, connect_broker, member_command, send_command
from harness.concurrency import run_concurrently
from harness.http_transport import http_client
from harness.message_strategies import INVALID, JSON, UNREADABLE, Bytes, commands, mutated
from harness.observability import log_lines, metric
from harness.resilient_client import fresh_room, join_room, make_room
from harness.scripted_client import connect
from harness.stack import Stack
from harness.tokens import token
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import ValidationError
from warren.contract.bundles import BUNDLE, BundledRun, write_bundle
from warren.contract.commands import COMMAND
from warren.contract.ids import new_id
from warren.contract.topology import (
    BOT_COMMANDS,
    BOT_QUERIES,
    COMMANDS,
    CONTROL,
    DEAD,
    EVENTS,
    LIVE,
    PRESENCE,
    QUERIES,
    QUERY_KEY,
    bucket,
    bundle_key,
    event_key,
    shard,
    shard_key,
)

HOSTILE = "hostile"
"""The room that arbitrary messages are about."""
PEOPLE = ["ann", "bob", "eve", "bot.rude", "bot.ruder"]
property_test = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],  # each example takes real servers a moment: to shrink one would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
ENDED = ("a task ended", "broker lost", ' failed"', "exception was never retrieved")
"""What the log says of what must not happen."""


@dataclass
class World:
    """Logins, and a room of people's in the same shard as the one that messages are about. `head`: its last seq."""

    stack: Stack
    urls: dict[str, str]
    room: str
    head: int = 2
    lines: dict[str, int] = field(default_factory=dict)

    def trouble(self) -> list[dict[str, Any]]:
        """Return what the services' logs say that they must not."""
        return [
            line for service in self.stack.services for text in ENDED for line in log_lines(service.log, text)
            if not is_contained(line)
        ]  # fmt: skip

    async def failures(self) -> list[float]:
        """Return how many exceptions nobody foresaw, by service: all of them, also those that the log leaves out.

        Those that `is_contained` allows are not counted.
        """
        name = "warren_failures_total"
        return [
            await metric(service.url, name) - await metric(service.url, name, what="events")
            for service in self.stack.services
        ]


def is_contained(line: dict[str, Any]) -> bool:
    """Whether a gateway could not read what claims to be events, and read from the store what they were.

    Of a bundle nobody may know which rooms it was about.
    """
    return (line["message"], line.get("room", HOSTILE)) == ("events failed", HOSTILE)


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    room = next(name for name in iter(lambda: fresh_room("calm"), "") if shard(name) == shard(HOSTILE))
    found = World(stack, give_logins(stack, {"rude": [HOSTILE], "ruder": [HOSTILE]}), room)
    asyncio.run(_prepare(found))
    return found


async def _prepare(world: World) -> None:
    gateway = world.stack.gateways[0].url
    async with http_client() as http:
        await make_room(http, gateway, world.room, token("ann"))
        await join_room(http, gateway, world.room, token("bob"))
        await make_room(http, gateway, HOSTILE, token("ann"))


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[None]:
    """Do something; afterwards everything lives, and a message of people in the same shard gets through as before."""
    before, failures = world.trouble(), await world.failures()
    async with (
        connect(world.stack.gateways[0].url, token("bob")) as bob,
        connect(world.stack.gateways[1].url, token("ann")) as ann,
    ):
        for one in (bob, ann):
            assert (await one.join(world.room))["head"] == world.head
            assert (await one.join(HOSTILE))["type"] in ("joined", "error")  # where they may have been banned
        yield
        ack = await ann.send(world.room, "and on")
        assert ack["type"] == "ack", ack
        world.head += 1
        assert ack["seq"] == world.head
        assert (await bob.events(world.room, world.head))[-1]["text"] == "and on"
    assert all(service.running for service in world.stack.services)
    assert world.trouble() == before
    assert await world.failures() == failures


def is_command(item: Any) -> bool:
    try:
        return COMMAND.validate_python(item).room == HOSTILE
    except ValidationError:
        return False


GOOD = commands(HOSTILE, PEOPLE)
ITEMS = st.lists(GOOD | mutated(GOOD) | JSON, max_size=6)
BATCHES = st.lists(ITEMS, min_size=1, max_size=4)
"""Messages of commands."""


@property_test
@given(batches=BATCHES)
def test_every_command_of_people_is_answered_or_dead_lettered_once(world: World, batches: list[list[Any]]) -> None:
    asyncio.run(_commands(world, "gateway", batches))


@property_test
@given(batches=BATCHES)
def test_every_command_of_a_bot_is_answered_or_dead_lettered_once(world: World, batches: list[list[Any]]) -> None:
    asyncio.run(_commands(world, "rude", batches))


async def _commands(world: World, user: str, batches: list[list[Any]]) -> None:
    url = world.urls.get(user) or world.stack.amqp_url(user)
    texts = [json.dumps({"commands": items}) for items in batches]
    good = sum(is_command(item) for text in texts for item in json.loads(text)["commands"])
    letters = await depth(world.stack.rabbitmq.url, DEAD) - good + sum(len(items) for items in batches)
    async with watched(world), connect_broker(url) as sender:
        for text in texts:
            if user == "gateway":
                await sender.publish(COMMANDS, shard_key(shard(HOSTILE)), text.encode())
            else:
                await sender.publish(BOT_COMMANDS, "", text.encode())
        found = 0
        while found < good:
            found += len((await sender.answer())["replies"])
        assert found == good

        async def dead_lettered() -> bool:
            return await depth(world.stack.rabbitmq.url, DEAD) >= letters

        await until(dead_lettered, 0.02)
        assert await depth(world.stack.rabbitmq.url, DEAD) == letters


async def test_two_commands_of_one_id_are_two_commands(world: World) -> None:
    """Each is answered by its place, though the answers bear the same id."""
    same = new_id()
    one, other = (send_command(world.room, "ann", text, id=same) for text in ("one", "other"))
    async with watched(world), connect_broker(world.stack.amqp_url("gateway")) as people:
        await people.command(one, other, {**one, "room": "nowhere-" + world.room})
        replies = (await people.answer())["replies"]
        assert [reply["id"] for reply in replies] == [same, same]
        assert [reply["seq"] for reply in replies] == [world.head + 1, world.head + 2]
        world.head += 2


async def test_two_bots_that_choose_one_id_get_an_answer_each(world: World) -> None:
    async with watched(world), connect_broker(world.urls["rude"]) as rude, connect_broker(world.urls["ruder"]) as ruder:
        for number in range(10):
            mine, theirs = (
                member_command("join", room, who.user, key=f"{who.user}{number}", id="same")
                for who, room in ((rude, world.room), (ruder, "nowhere"))
            )
            await run_concurrently(rude.command(mine), ruder.command(theirs))
            answers = [(await one.answer())["replies"] for one in (rude, ruder)]
            assert [len(replies) for replies in answers] == [1, 1]
            assert answers[1][0]["code"] == "not_found"
            if number == 0:
                world.head += 1
                assert answers[0][0]["seq"] == world.head
            else:
                assert answers[0][0]["code"] == "exists"


QUERY = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["room.access", "room.accesses", "events", "history", "rooms", "heads", "members", "people"]
        )
    },
    optional={
        "room": st.just(HOSTILE), "user": st.sampled_from(PEOPLE), "limit": st.integers(-1, 1_000),
        "after": st.integers(-1, 2**70) | st.text(max_size=3), "prefix": st.text(max_size=200),
        "rooms": st.lists(st.just(HOSTILE), max_size=3),
        "queries": st.lists(
            st.fixed_dictionaries({"room": st.just(HOSTILE), "user": st.sampled_from(PEOPLE)}), max_size=3
        ),
    },
)  # fmt: skip
LIVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["presence", "typing", "partial", "sighting"]), "room": st.just(HOSTILE)},
    optional={
        "user": st.sampled_from(PEOPLE), "name": st.text(max_size=3), "key": st.just("k"), "text": st.text(),
        "version": st.integers(), "state": st.just([]), "diff": JSON, "count": JSON, "status": st.just("away"),
    },
)  # fmt: skip
SEQS = st.integers(-5, 2**70)
CHANGE = st.fixed_dictionaries({
    "room": st.just(HOSTILE), "user": st.sampled_from(PEOPLE), "name": st.text(max_size=3),
    "status": st.sampled_from(["online", "away", "gone", "ended"]),
})  # fmt: skip
KNOWN = st.fixed_dictionaries({"room": st.just(HOSTILE), "term": st.just("t"), "version": SEQS})
ANNOUNCEMENT = st.fixed_dictionaries({
    "type": st.sampled_from(["announcement", "knock"]), "gateway": st.sampled_from(["g1", "g2"]),
    "replica": st.just("r"), "shard": st.sampled_from([shard(HOSTILE), 0, 99]), "seq": SEQS, "full": st.booleans(),
    "changes": st.lists(CHANGE, max_size=5), "ask": st.lists(st.just(HOSTILE), max_size=2),
    "known": st.lists(KNOWN, max_size=2), "sought": st.lists(st.sampled_from(PEOPLE), max_size=3),
})  # fmt: skip
CONTROLS = st.fixed_dictionaries({
    "type": st.sampled_from(["heartbeat", "goodbye", "resync", "roll_call", "roll"]),
    "gateway": st.sampled_from(["g1", "g2", None]), "seqs": st.lists(SEQS, min_size=16, max_size=16),
    "shard": st.just(shard(HOSTILE)), "term": st.just("t"), "replica": st.just("r"),
    "gateways": st.dictionaries(st.sampled_from(["g1", "g3"]), st.floats(), max_size=2),
})  # fmt: skip
EVENT = st.fixed_dictionaries({
    "seq": SEQS | JSON, "type": st.sampled_from(["message", "member.left", "room.painted"]),
    "user": st.sampled_from(PEOPLE), "id": st.text(max_size=4), "sender": st.just("ann"), "text": st.text(max_size=4),
})  # fmt: skip
RUN = st.fixed_dictionaries(
    {"type": st.just("events"), "room": st.just(HOSTILE), "events": st.lists(EVENT | JSON, max_size=3)}
)
INDEX = st.fixed_dictionaries({
    "epoch": st.just("e"), "stored": st.just(0), "rooms": st.lists(st.just(HOSTILE), min_size=1, max_size=2),
    "sizes": st.lists(SEQS, min_size=1, max_size=2), "first": st.lists(SEQS, min_size=1, max_size=2),
    "last": st.lists(SEQS, min_size=1, max_size=2), "number": st.lists(SEQS, min_size=1, max_size=2),
    "ends": st.just([]) | JSON,
})  # fmt: skip
NAMES = ["first", "last", "number", "epoch", "stored", "ends", "standings", "publisher", "traceparent", "term"]
HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.integers(-(2**40), 2**40) | st.text(max_size=5) | st.booleans() | st.none() | st.just('[[1,"bob","a"]]')
    | st.lists(st.integers(0, 5), max_size=2) | st.binary(max_size=5).map(bytearray),
)  # fmt: skip
GOOD_HEADERS = st.fixed_dictionaries({
    "first": st.integers(1, 9), "last": st.integers(1, 9), "number": st.integers(0, 9), "epoch": st.just("e"),
    "stored": st.just(0), "ends": st.sampled_from(["[]", "5", '{"a":1}', '[["x",5,null]]', "[[1,2]]"]),
})  # fmt: skip


def bodies(good: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    return (good | mutated(good)).map(lambda value: json.dumps(value).encode()) | INVALID


def bundles() -> st.SearchStrategy[bytes]:
    """Return bundles: of an index and runs that have little to do with each other, and whole ones of runs like any."""
    runs = st.builds(
        BundledRun, st.just(HOSTILE), bodies(RUN).filter(bool), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)
    )
    whole = st.lists(runs, max_size=3).map(lambda found: write_bundle("e", 0, found))
    return whole | st.tuples(bodies(INDEX), bodies(RUN)).map(b"\n".join)


Sent = tuple[str, str, str, bytes, dict[str, Any]]
"""Who publishes, where, with which key, what, and the headers."""


def sent(user: str, exchange: str, key: str, body: st.SearchStrategy[bytes]) -> st.SearchStrategy[Sent]:
    return st.tuples(st.just(user), st.just(exchange), st.just(key), body, HEADERS | GOOD_HEADERS)


MESSAGES = st.one_of(
    sent("gateway", COMMANDS, shard_key(shard(HOSTILE)), INVALID),
    sent("gateway", QUERIES, QUERY_KEY, bodies(QUERY)),
    sent("gateway", PRESENCE, shard_key(shard(HOSTILE)), bodies(ANNOUNCEMENT)),
    sent("gateway", CONTROL, "", bodies(CONTROLS)),
    sent("gateway", LIVE, event_key(HOSTILE), bodies(LIVES)),
    sent("presence", LIVE, event_key(HOSTILE), bodies(LIVES)),
    sent("presence", CONTROL, "", bodies(CONTROLS)),
    sent("persistence", EVENTS, event_key(HOSTILE), bodies(RUN)),
    sent("persistence", EVENTS, bundle_key(bucket(HOSTILE)), bundles()),
    sent("rude", BOT_COMMANDS, "", INVALID),
    sent("rude", BOT_QUERIES, "", bodies(QUERY)),
    sent("rude", LIVE, event_key(HOSTILE), bodies(LIVES)),
)


@property_test
@given(messages=st.lists(MESSAGES, min_size=1, max_size=12))
def test_nothing_ends_and_nobody_waits(world: World, messages: list[Sent]) -> None:
    asyncio.run(_send(world, messages))


async def _send(world: World, messages: list[Sent]) -> None:
    async with watched(world), channels(world) as found:
        for user, exchange, key, body, headers in messages:
            target = await found[user].get_exchange(exchange, ensure=False)
            kind = BUNDLE if key.endswith(".bundle") else None
            message = aio_pika.Message(body, headers=headers, user_id=login(user), type=kind)
            await target.publish(message, key, timeout=WITHIN)


def login(user: str) -> str:
    return f"bot.{user}" if user.startswith("rude") else user


@asynccontextmanager
async def channels(world: World) -> AsyncIterator[dict[str, AbstractChannel]]:
    """Connect as each user of the broker."""
    found: dict[str, AbstractChannel] = {}
    opened = []
    for user in ("gateway", "presence", "persistence", "rude"):
        opened.append(await aio_pika.connect(world.urls.get(user) or world.stack.amqp_url(user), timeout=WITHIN))
        found[user] = await opened[-1].channel()
    try:
        yield found
    finally:
        for connection in opened:
            await connection.close()


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_properties_that_nobody_can_read_cost_nobody_the_connection(world: World, properties: bytes) -> None:
    room = event_key(HOSTILE)
    async with watched(world), channels(world) as found:
        channel = await found["rude"].get_underlay_channel()
        for exchange, key in ((BOT_COMMANDS, ""), (BOT_QUERIES, ""), (LIVE, room)):
            await channel.basic_publish(b"{}", exchange=exchange, routing_key=key, properties=Bytes(properties))
        async with connect_broker(world.urls["rude"]) as bot:
            assert (await bot.ask({"type": "rooms", "user": bot.user}))["type"] == "room_list"
            await bot.command(member_command("leave", "nowhere", bot.user))
            assert (await bot.answer())["replies"][0]["code"] == "not_found"


def test_nothing_is_left_over(world: World) -> None:
    """Everything that was delivered has been acknowledged."""

    async def settled() -> bool:
        listed = rabbitmqctl(world.stack, "list_queues", "name", "messages").splitlines()
        depths = {name: int(count) for name, count in (line.split() for line in listed)}
        return not any(count for name, count in depths.items() if name.startswith("warren.") and name != DEAD)

    asyncio.run(until(settled, 0.5))
