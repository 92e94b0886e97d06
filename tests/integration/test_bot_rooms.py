"""Which rooms a bot hears: public ones that it was given, those that it is a member of, and no other."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from conftest import BASE_PORT
from harness.bots import WITHIN, at_work, give_logins, texts_of, until
from harness.broker_client import BrokerClient, connect_broker
from harness.concurrency import run_concurrently
from harness.resilient_client import bearer, fresh_room, make_room
from harness.stack import Stack
from harness.tokens import token
from unit.bot.test_docs import blocks
from warren.bot import Message
from warren.broker.bots import declare_bot
from warren.contract.bots import ANY_ROOM, bot_rooms_exchange
from warren.contract.ids import new_id
from warren.contract.topology import EVENTS

ANN = bearer(token("ann"))
NAMED = "named-but-private"
BOTS = {"concierge": [], "all": [ANY_ROOM], "named": [NAMED], "guest": [], "watcher": [], "older": [ANY_ROOM]}


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a Warren that lets one of its bots read everything."""
    env = {"WARREN_READ_EVERYTHING": "watcher"}
    one = Stack(home / "bot-rooms", BASE_PORT + 2_000, gateways=1, persistence=1, env=env)
    with one.running():
        yield one


@pytest.fixture(scope="module")
def logins(stack: Stack) -> dict[str, str]:
    return give_logins(stack, BOTS)


@asynccontextmanager
async def hearing(url: str) -> AsyncIterator["Ear"]:
    """Take what comes to a bot's queue, by hand."""
    async with await aio_pika.connect(url, timeout=WITHIN) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(str(connection.url.user), ensure=False)
        async with queue.iterator(timeout=WITHIN) as messages:
            yield Ear(messages)


class Ear:
    def __init__(self, messages: Any) -> None:
        self._messages = messages

    async def until(self, last: str) -> list[tuple[str, str]]:
        """Return what came, as (room, text or type), up to this text."""
        found: list[tuple[str, str]] = []
        while not found or found[-1][1] != last:
            message = await anext(self._messages)
            await message.ack()
            body = json.loads(message.body)
            found += [(body["room"], event.get("text", event["type"])) for event in body["events"]]
        return found


@pytest.fixture
async def gateway(stack: Stack) -> str:
    return stack.gateways[0].url


async def say(http: httpx.AsyncClient, gateway: str, room: str, text: str) -> None:
    answer = await http.post(f"{gateway}/v1/rooms/{room}/messages", json={"text": text}, headers=ANN)
    assert answer.status_code == 201, answer.text


async def talk_with(http: httpx.AsyncClient, gateway: str, user: str) -> str:
    answer = await http.post(f"{gateway}/v1/direct", json={"user": user}, headers=ANN)
    assert answer.is_success, answer.text
    return str(answer.json()["room"])


async def done(bot: BrokerClient, kind: str, user: str, room: str, **fields: Any) -> str:
    """Have a bot do something by hand; say what became of it."""
    key = new_id()
    command = {"type": kind, "id": key, "room": room, "sender": user, "name": user, "key": key, **fields}
    await bot.command(command)
    answer = (await bot.replies(1))[key]
    return str(answer.get("code", answer["type"]))


@asynccontextmanager
async def rooms(http: httpx.AsyncClient, gateway: str) -> AsyncIterator[tuple[str, str, str]]:
    """Yield a public room, a private one and the direct room of two people, in each of which something was said."""
    public, private = fresh_room("public"), fresh_room("private")
    await make_room(http, gateway, public, token("ann"))
    await make_room(http, gateway, private, token("ann"), "private")
    signed_in = await http.get(f"{gateway}/v1/me", headers=bearer(token("bob")))
    assert signed_in.is_success
    await make_room(http, gateway, fresh_room("bobs"), token("bob"))
    direct = await talk_with(http, gateway, "bob")
    for room in (private, direct, public):
        await say(http, gateway, room, f"said in {room}")
    yield public, private, direct


async def test_a_bot_of_all_rooms_hears_the_public_ones_alone(
    logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    async with rooms(http, gateway) as (public, private, direct), hearing(logins["all"]) as ear:
        heard = await ear.until(f"said in {public}")
    assert {room for room, _ in heard} & {public, private, direct} == {public}


async def test_a_binding_of_an_older_version_ends_when_the_command_is_run_again(
    stack: Stack, logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    async with await aio_pika.connect(stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(bot_rooms_exchange("older").name, ensure=False)
        await exchange.bind(EVENTS, "ev.#")
    async with rooms(http, gateway) as (public, private, direct), hearing(logins["older"]) as ear:
        assert {room for room, _ in await ear.until(f"said in {public}")} >= {public, private, direct}
    await declare_bot(stack.rabbitmq.url, "older", BOTS["older"])
    async with rooms(http, gateway) as (public, private, direct), hearing(logins["older"]) as ear:
        heard = await ear.until(f"said in {public}")
    assert {room for room, _ in heard} & {public, private, direct} == {public}


async def test_a_private_room_is_heard_from_the_acceptance_of_an_invitation_to_the_removal(
    stack: Stack, logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    await make_room(http, gateway, NAMED, token("ann"), "private")
    member = f"{gateway}/v1/rooms/{NAMED}/members/bot.named"
    async with connect_broker(logins["named"]) as bot, hearing(logins["named"]) as ear:
        await say(http, gateway, NAMED, "before")
        assert await done(bot, "join", "bot.named", NAMED) == "not_found"
        assert (await http.put(member, headers=ANN)).is_success
        assert await done(bot, "join", "bot.named", NAMED) == "accepted"
        await say(http, gateway, NAMED, "inside")
        heard = await ear.until("inside")
        assert [what for room, what in heard if room == NAMED] == ["member.joined", "inside"]
        # At once, so that some of it goes out together.
        await run_concurrently(
            http.delete(member, headers=ANN), *(say(http, gateway, NAMED, f"after {number}") for number in range(20))
        )
        assert (await http.put(member, headers=ANN)).is_success
        assert await done(bot, "join", "bot.named", NAMED) == "accepted"
        await say(http, gateway, NAMED, "inside again")
        heard = await ear.until("inside again")
    log = (await http.get(f"{gateway}/v1/rooms/{NAMED}/events?after=5", headers=ANN)).json()["events"]
    told = [event.get("text", event["type"]) for event in log]
    inside = [*told[: told.index("member.removed") + 1], "member.joined", "inside again"]
    assert [what for room, what in heard if room == NAMED] == inside


async def test_a_bot_hears_who_writes_to_it_directly(
    logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    room = fresh_room("hall")
    await make_room(http, gateway, room, token("ann"))
    async with connect_broker(logins["guest"]) as bot, hearing(logins["guest"]) as ear:
        assert await done(bot, "join", "bot.guest", room) == "accepted"
        direct = await talk_with(http, gateway, "bot.guest")
        await say(http, gateway, direct, "hello, bot")
        heard = await ear.until("hello, bot")
    assert (direct, "hello, bot") in heard
    assert (room, "member.joined") in heard


async def test_a_bot_goes_where_it_is_invited_and_hears_and_speaks_there(
    logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    found: dict[str, Any] = {"__name__": "docs"}
    for block in blocks("python"):
        exec(compile(block, "docs/bots.md", "exec"), found)
    bot, room = found["concierge"], fresh_room("den")
    bot.message()(echo)
    await make_room(http, gateway, room, token("ann"), "private")

    def has_said(*texts: str) -> Callable[[], Awaitable[bool]]:
        async def said() -> bool:
            return [*texts] == await texts_of(http, gateway, room, bot.user)

        return said

    async with at_work(bot, logins["concierge"]):
        invited = await http.put(f"{gateway}/v1/rooms/{room}/members/{bot.user}", headers=ANN)
        assert invited.is_success
        await until(has_said("Thank you, ann!"))
        await say(http, gateway, room, "hello")
        await until(has_said("Thank you, ann!", "heard hello"))


async def echo(message: Message) -> None:
    async with message.stream() as reply:
        await reply.write("heard ")
        await reply.write(message.text)


async def test_what_reads_everything_is_shown_to_members_and_may_ask_too(
    stack: Stack, logins: dict[str, str], http: httpx.AsyncClient, gateway: str
) -> None:
    async with rooms(http, gateway) as (public, private, direct), hearing(logins["watcher"]) as ear:
        heard = await ear.until(f"said in {public}")
        assert {room for room, _ in heard} >= {public, private, direct}
        async with connect_broker(logins["watcher"], operator_url=stack.rabbitmq.url) as bot:
            answer = await bot.ask({"type": "events", "room": private, "user": "bot.watcher", "after": 0})
            assert [event["type"] for event in answer["events"]] == ["room.created", "message"]
            said = {"text": "not a member", "reply_to": None}
            assert await done(bot, "send", "bot.watcher", private, **said) == "not_found"
        async with connect_broker(logins["all"], operator_url=stack.rabbitmq.url) as other:
            answer = await other.ask({"type": "events", "room": private, "user": "bot.all", "after": 0})
            assert answer["type"] == "denied"
        for room in (public, private, direct):
            members = await http.get(f"{gateway}/v1/rooms/{room}/members", headers=ANN)
            assert members.json()["watched_by"] == ["bot.watcher"]


async def test_no_bot_hears_another_inbox(logins: dict[str, str], http: httpx.AsyncClient, gateway: str) -> None:
    """An invitation is told in an inbox: not to a bot that reads everything."""
    async with rooms(http, gateway) as (public, private, _), hearing(logins["watcher"]) as ear:
        await ear.until(f"said in {public}")
        invited = await http.put(f"{gateway}/v1/rooms/{private}/members/bob", headers=ANN)
        assert invited.is_success
        inbox: list[Any] = []
        async with asyncio.timeout(WITHIN):
            while not any(event.get("of_room") == private for event in inbox):
                url = f"{gateway}/v1/rooms/@me/events?after=0"
                inbox = (await http.get(url, headers=bearer(token("bob")))).json()["events"]
        await say(http, gateway, public, "and now")
        assert not {room for room, _ in await ear.until("and now") if room.startswith("me-")}
