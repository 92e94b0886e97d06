"""What bounds a bot: limits on its login, letters that lie, what is no event, invitations that come late."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import httpx
import pytest
from harness.bots import Logins, at_work, depth, give_logins, member, messages, rabbitmqctl, say, until, warren
from harness.broker_client import send_command
from harness.resilient_client import bearer, fresh_room, make_room
from harness.stack import Stack
from harness.tokens import token
from warren.bot import Bot, Message
from warren.bot.runtime import runner
from warren.broker.bots import bindings, bot_definitions
from warren.contract.bots import BOT_LOCK, LIMITS, bot_dead_exchange, bot_rooms_exchange
from warren.contract.topology import COMMANDS, EVENTS, event_key, shard, shard_key

THIEF = "bot.thief2"
WITHIN = 60.0
WRONG_EVENTS: tuple[dict[str, Any], ...] = (
    {"seq": "1"}, {"seq": None}, {"seq": 0}, {"seq": 2**63}, {"seq": True}, {"sender": None}, {"sender": 5},
    {"type": None}, {"type": []}, {"name": None}, {"at": None}, {"id": {}}, {"key": 1}, {"timer": {}}, {"timer": 1},
)  # fmt: skip
"""What is wrong in an event that comes to a bot from a broken replica, or from whoever has stolen its login."""


def nearly(wrong: dict[str, Any]) -> bytes:
    """Return a message with an event that has something wrong in it."""
    good = {"seq": 1, "type": "message", "number": 1, "id": "i", "sender": "ann", "name": "Ann", "key": "k"}
    event = {**good, "at": "2026-11-22T18:28:23.241Z", "text": "x", **wrong}
    return json.dumps({"room": "x", "events": [event]}).encode()


@pytest.fixture(scope="module")
def logins(stack: Stack) -> Logins:
    """Give some bots their queues and logins."""
    rooms = {name: fresh_room(name) for name in ("guest2", "sturdy", "thief2", "deaf")}
    return Logins(give_logins(stack, {name: [room] for name, room in rooms.items()}), rooms)


@pytest.fixture
async def operator(stack: Stack) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(stack.rabbitmq.url) as connection:
        yield await connection.channel()


async def test_a_login_has_so_many_connections_and_no_more(logins: Logins) -> None:
    most = dict(LIMITS)["max-connections"]
    async with AsyncExitStack() as exits:
        for _ in range(most):
            await exits.enter_async_context(await aio_pika.connect(logins.urls["thief2"]))
        with pytest.raises(aio_pika.exceptions.AMQPError):
            await aio_pika.connect(logins.urls["thief2"], timeout=WITHIN)


async def test_queues_that_a_login_makes_go_when_nobody_reads_them(stack: Stack, logins: Logins) -> None:
    name, lock = f"{THIEF}.{secrets.token_hex(8)}", f"{THIEF}.{BOT_LOCK}"
    async with await aio_pika.connect(logins.urls["thief2"]) as connection:
        for queue in (name, lock):
            await (await connection.channel()).declare_queue(queue, durable=True)
    listed = await asyncio.to_thread(rabbitmqctl, stack, "--formatter", "json", "list_queues", "name", "policy")
    policies = {one["name"]: one["policy"] for one in json.loads(listed)}
    (policy,) = bot_definitions("thief2", "")["policies"]
    assert policies[name] == policy["name"]
    assert policies[lock] == ""  # nobody reads it: what counts is whose it is
    assert policy["definition"]["expires"] == 60_000


async def test_a_letter_that_lies_about_where_it_was_going_goes_to_its_bot_alone(
    stack: Stack, logins: Logins, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """The operator may speak for everybody; whoever has stolen a login would have them do so."""
    room = logins.rooms["thief2"]
    await make_room(http, gateways[0], room, token("ann"))
    headers: dict[str, Any] = {
        "source": "x",
        "exchange": COMMANDS,
        "key": shard_key(shard(room)),
        "publisher": "gateway",
    }
    forged = json.dumps({"commands": [send_command(room, "ann", "I never said that")]}).encode()
    async with await aio_pika.connect(logins.urls["thief2"]) as connection:
        exchange = await (await connection.channel()).get_exchange(bot_dead_exchange("thief2").name, ensure=False)
        await exchange.publish(aio_pika.Message(forged, headers=headers), "")
    before = await depth(stack.rabbitmq.url, THIEF)
    await warren(stack, "dead", "replay", "--bot", "thief2")
    assert await depth(stack.rabbitmq.url, THIEF) == before + 1
    await say(http, gateways[0], room, "after it")  # the same shard
    assert [one["text"] for one in await messages(http, gateways[0], room)] == ["after it"]


async def test_what_is_no_event_ends_no_bot(
    logins: Logins, operator: aio_pika.abc.AbstractChannel, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    room = logins.rooms["sturdy"]
    await make_room(http, gateways[0], room, token("ann"))
    bot, heard = Bot("sturdy", rooms=[room]), asyncio.Event()

    @bot.message()
    async def hear(message: Message) -> None:
        if message.text == "hear me":
            heard.set()

    async with at_work(bot, logins.urls["sturdy"]):
        await until(member(bot, http, gateways[0], room))
        for body in (b"\xff", b"[]", b"{}", b'{"room":"x","events":[5]}', *map(nearly, WRONG_EVENTS)):
            await operator.default_exchange.publish(aio_pika.Message(body), bot.user)
            await (await operator.get_exchange(EVENTS)).publish(
                aio_pika.Message(body, headers={"epoch": "e"}), event_key(room)
            )
        await say(http, gateways[0], room, "hear me")
        async with asyncio.timeout(WITHIN):
            await heard.wait()


async def test_a_bot_hears_the_last_event_of_a_room_also_if_it_was_lost(
    logins: Logins,
    operator: aio_pika.abc.AbstractChannel,
    http: httpx.AsyncClient,
    gateways: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing that comes after it shows the hole, so the bot compares what it has with what is stored."""
    monkeypatch.setattr(runner, "HEADS_EVERY", 0.2)
    room = logins.rooms["deaf"]
    await make_room(http, gateways[0], room, token("ann"))
    bot, heard = Bot("deaf", rooms=[room]), asyncio.Queue[str]()

    @bot.message()
    async def hear(message: Message) -> None:
        await heard.put(message.text)

    async with at_work(bot, logins.urls["deaf"]), asyncio.timeout(WITHIN):
        await until(member(bot, http, gateways[0], room))
        await say(http, gateways[0], room, "before")
        assert await heard.get() == "before"
        exchange = await operator.get_exchange(bot_rooms_exchange("deaf").name, ensure=False)
        for key in bindings("deaf", [room]):
            await exchange.unbind(EVENTS, key)
        await say(http, gateways[0], room, "lost", "lost, too")
        assert [await heard.get(), await heard.get()] == ["lost", "lost, too"]


async def test_who_is_invited_later_comes_later(
    logins: Logins, http: httpx.AsyncClient, gateways: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    room = logins.rooms["guest2"]
    await make_room(http, gateways[0], room, token("ann"), "private")
    bot = Bot("guest2", rooms=[room])
    async with at_work(bot, logins.urls["guest2"]):

        async def refused() -> bool:
            return "room not joined" in caplog.text

        await until(refused)
        url = f"{gateways[0]}/v1/rooms/{room}/members/{bot.user}"
        assert (await http.put(url, headers=bearer(token("ann")))).is_success
        await until(member(bot, http, gateways[0], room))
