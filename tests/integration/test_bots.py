"""Bots on a real broker: each trigger answered once whatever dies, dead letters, two processes, and stolen logins."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed
from harness.bots import (
    ROOT,
    WITHIN,
    Logins,
    at_work,
    end,
    give_logins,
    member,
    messages,
    room_of,
    say,
    start,
    texts_of,
    until,
    warren,
)
from harness.broker_client import BrokerClient, connect_broker, member_command, send_command
from harness.concurrency import run_concurrently
from harness.observability import metric
from harness.resilient_client import bearer, fresh_room, join_room, make_room
from harness.scripted_client import ScriptedClient, connect
from harness.stack import Stack
from harness.tokens import token
from integration.test_broker_rights import (
    bind,
    bind_own,
    consume,
    delete_queue,
    get,
    lead,
    make_exchange,
    make_own_queue,
    make_queue,
    publish,
    purge,
)
from warren.bot import Bot, Message, Policy, Timer
from warren.broker.dead_letters import open_dead_letters
from warren.contract.ids import new_id
from warren.contract.topology import (
    BOT_COMMANDS,
    BOT_QUERIES,
    BOT_QUERY_QUEUE,
    BOT_QUEUE,
    COMMANDS,
    CONTROL,
    DEAD,
    EVENTS,
    LIVE,
    PRESENCE,
    QUERIES,
    QUERY_KEY,
    QUERY_QUEUE,
    event_key,
    shard,
    shard_queue,
)
from warren_local.javascript import modules

from bots.bridge import incoming
from bots.bridge.bot import bridge
from bots.bridge.config import Config
from bots.bridge.test_outgoing import receiving

HASTY = Policy(tries=2, first_wait=0.01, longest_wait=0.02)


@pytest.fixture(scope="module")
def logins(stack: Stack) -> Logins:
    """Give some bots their queues and logins."""
    names = ("bridge", "early", "echo", "echojs", "hello", "letters", "pair", "thief", "victim")
    rooms = {name: fresh_room(name) for name in names} | {"hello": "general"}  # as the tutorial says
    return Logins(give_logins(stack, {name: [room] for name, room in rooms.items()}), rooms)


async def test_every_message_is_answered_once_and_in_order_however_often_the_bot_is_killed(
    stack: Stack, logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    room, _ = await room_of(http, gateways[0], logins, "echo")
    env = {"WARREN_AMQP_URL": logins.urls["echo"], "WARREN_ECHO_ROOMS": room}
    texts = [f"message {number}" for number in range(60)]

    async def answers() -> list[str]:
        return await texts_of(http, gateways[0], room, "bot.echo")

    def run() -> subprocess.Popen[bytes]:
        return start(sys.executable, "-m", "bots.echo.bot", log=tmp_path / "echo.log", **env)

    bot = run()
    try:
        await until(member(Bot("echo"), http, gateways[0], room))
        for part in range(4):
            await say(http, gateways[0], room, *texts[15 * part : 15 * (part + 1)])
            bot.send_signal(signal.SIGKILL)
            bot.wait(30)
            bot = run()

        async def all_answered() -> bool:
            return len(await answers()) >= len(texts)

        await until(all_answered)
        assert await answers() == texts
    finally:
        end(bot)
    found = await messages(http, gateways[0], room)
    asked = {one["seq"]: one["text"] for one in found if one["sender"] == "ann"}
    assert all(asked[one["reply_to"]] == one["text"] for one in found if one["sender"] == "bot.echo")


async def test_the_tutorials_bot_runs_as_the_page_says(
    logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    room, _ = await room_of(http, gateways[0], logins, "hello")
    page = (ROOT / "docs" / "bots.md").read_text()
    (tmp_path / "hello.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    log = tmp_path / "hello.log"
    bot = start(sys.executable, tmp_path / "hello.py", log=log, WARREN_AMQP_URL=logins.urls["hello"])
    try:
        await until(member(Bot("hello"), http, gateways[0], room))
        await join_room(http, gateways[0], room, token("bob"))
        await say(http, gateways[0], room, "/add 1 2")

        async def answered() -> bool:
            found = await messages(http, gateways[0], room)
            return [one["text"] for one in found if one["sender"] == "bot.hello"] == ["Welcome, bob!", "3"]

        await until(answered)
    finally:
        end(bot)
    assert bot.returncode == 0, log.read_text()


async def test_a_bot_in_javascript_does_the_same(
    stack: Stack, logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    library = modules()
    if library is None:
        pytest.skip("there is no npm here")
    room, _ = await room_of(http, gateways[0], logins, "echojs")
    (tmp_path / "node_modules").symlink_to(library)
    shutil.copy(ROOT / "bots" / "examples" / "echo.mjs", tmp_path)
    env = {"WARREN_AMQP_URL": logins.urls["echojs"], "WARREN_ECHO_ROOMS": room}
    bot = start("node", tmp_path / "echo.mjs", log=tmp_path / "echo.log", **env)
    texts = [f"message {number}" for number in range(20)]
    try:
        await until(member(Bot("echojs"), http, gateways[0], room))
        await say(http, gateways[0], room, *texts[:10])
        bot.send_signal(signal.SIGKILL)
        bot.wait(30)
        bot = start("node", tmp_path / "echo.mjs", log=tmp_path / "echo.log", **env)
        await say(http, gateways[0], room, *texts[10:])

        async def answers() -> list[str]:
            return await texts_of(http, gateways[0], room, "bot.echojs")

        async def all_answered() -> bool:
            return len(await answers()) >= len(texts)

        await until(all_answered)
        assert await answers() == texts
    finally:
        end(bot)


async def test_dead_letters_are_listed_shown_sent_again_and_dropped(
    stack: Stack, logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    room, _ = await room_of(http, gateways[0], logins, "letters")
    bot = Bot("letters", rooms=[room], policy=HASTY, state=tmp_path / "letters.db")
    broken = True

    @bot.timer
    async def ring(timer: Timer) -> None:
        if broken:
            raise RuntimeError("broken at night")
        await timer.reply(f"Rang: {timer.text}")

    @bot.message()
    async def answer(message: Message) -> None:
        if message.text == "later":
            message.later(message.at + timedelta(seconds=0.1), ring)
        elif broken:
            raise RuntimeError("broken by day")
        else:
            await message.reply(f"Mended: {message.text}")

    async def letters() -> list[str]:
        said = await warren(stack, "dead", "list", "--bot", "letters")
        return [line for line in said.splitlines() if "broken" in line]

    async def said(*texts: str) -> bool:
        return [*texts] == await texts_of(http, gateways[0], room, bot.user)

    async with at_work(bot, logins.urls["letters"]):
        await until(member(bot, http, gateways[0], room))
        await say(http, gateways[0], room, "one", "two", "later")

        async def all_there() -> bool:
            return len(await letters()) == 3

        await until(all_there)
        assert [line.split()[2:] for line in await letters()] == [
            ["answer", "RuntimeError('broken", "by", "day')"],
            ["answer", "RuntimeError('broken", "by", "day')"],
            ["ring", "RuntimeError('broken", "at", "night')"],
        ]
        shown = await warren(stack, "dead", "show", "1", "--bot", "letters")
        assert '"publisher": "bot.letters"' in shown
        assert '"text":"one"' in shown
        await warren(stack, "dead", "drop", "2", "--bot", "letters")
        broken = False
        await warren(stack, "dead", "replay", "--bot", "letters")
        await until(lambda: said("Mended: one", "Rang: later"))
        assert await warren(stack, "dead", "list", "--bot", "letters") == "There are no dead letters.\n"


async def test_a_bot_that_is_there_before_its_room_joins_it_when_it_is_made(
    logins: Logins, http: httpx.AsyncClient, gateways: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("early", rooms=[logins.rooms["early"]])

    async def not_joined() -> bool:
        return "room not joined" in caplog.messages

    async with at_work(bot, logins.urls["early"]):
        await until(not_joined)
        room, _ = await room_of(http, gateways[0], logins, "early")
        await until(member(bot, http, gateways[0], room))


async def test_of_two_processes_one_is_at_work_and_the_other_takes_over(
    logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    room, _ = await room_of(http, gateways[0], logins, "pair")
    handled: list[tuple[str, str]] = []

    def process(which: str) -> Bot:
        bot = Bot("pair", rooms=[room], state=tmp_path / which)

        @bot.timer
        async def ring(timer: Timer) -> None:
            handled.append((which, f"rang {timer.text}"))
            await timer.send(f"Rang: {timer.text}")

        @bot.message()
        async def answer(message: Message) -> None:
            handled.append((which, message.text))
            message.later(message.at, ring)
            await message.reply(f"Heard: {message.text}")

        return bot

    def answered(number: int) -> Callable[[], Awaitable[bool]]:
        async def enough() -> bool:
            found = await messages(http, gateways[0], room)
            return len([one for one in found if one["sender"] == "bot.pair"]) >= 2 * number

        return enough

    async with contextlib.AsyncExitStack() as others:
        async with at_work(process("one"), logins.urls["pair"]):
            await until(member(process("nobody"), http, gateways[0], room))
            await others.enter_async_context(at_work(process("other"), logins.urls["pair"]))
            await say(http, gateways[0], room, "a", "b")
            await until(answered(2))
            assert {which for which, _ in handled} == {"one"}
        await say(http, gateways[0], room, "c", "d")
        await until(answered(4))
    found = await messages(http, gateways[0], room)
    said = sorted(one["text"] for one in found if one["sender"] == "bot.pair")
    assert said == sorted(f"{what}: {text}" for text in "abcd" for what in ("Heard", "Rang"))
    assert ("other", "c") in handled


async def test_what_comes_from_outside_is_stored_once_and_what_is_said_goes_out(
    stack: Stack, logins: Logins, http: httpx.AsyncClient, gateways: list[str], tmp_path: Path
) -> None:
    room, _ = await room_of(http, gateways[0], logins, "bridge")
    secret = "only-for-this-test"
    with incoming.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    fields = {
        "incoming": {"ci": {"room": room, "token": secret}},
        "outgoing": {"log": {"rooms": [room], "url": "", "secret": secret}},
        "port": port,
        "state": str(tmp_path / "bridge.db"),
    }
    async with receiving() as there:
        fields["outgoing"]["log"]["url"] = there.url
        bot = bridge(Config.model_validate_json(json.dumps(fields)))
        async with at_work(bot, logins.urls["bridge"]):
            await until(member(bot, http, gateways[0], room))
            headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "7"}
            seqs = set()
            for _ in range(3):
                answer = await http.post(f"http://127.0.0.1:{port}/hooks/ci", json={"text": "in"}, headers=headers)
                assert answer.status_code == 201, answer.text
                seqs.add(answer.json()["seq"])
            (found,) = await messages(http, gateways[0], room)
            assert (found["sender"], found["name"], {found["seq"]}) == (bot.user, "ci", seqs)
            await say(http, gateways[0], room, "out", "and out")

            async def all_out() -> bool:
                return there.texts == ["out", "and out"]

            await until(all_out)


# What follows is done with a bot's stolen login, by hand.

MINE, OWN_DEAD = "bot.thief", "bot.thief.dead"
FORBIDDEN: dict[str, Any] = {
    "read another bot's queue": consume("bot.victim"),
    "get a message of another bot's": get("bot.victim"),
    "empty another bot's queue": purge("bot.victim"),
    "read another bot's dead letters": consume("bot.victim.dead"),
    "read one's own dead letters": consume(OWN_DEAD),
    "read the writers' dead letters": consume(DEAD),
    "read commands": consume(shard_queue(3)),
    "read what bots want": consume(BOT_QUEUE),
    "empty the queue of what bots want": purge(BOT_QUEUE),
    "take in events with the queue of what bots want": bind(BOT_QUEUE, EVENTS, "ev.#"),
    "read queries": consume(QUERY_QUEUE),
    "read what bots ask": consume(BOT_QUERY_QUEUE),
    "delete another bot's queue": delete_queue("bot.victim"),
    "delete one's own queue": delete_queue(MINE),
    "take in more rooms": bind(MINE, EVENTS, "ev.#"),
    "take in live events": bind(MINE, LIVE, "#"),
    "take in commands": bind(MINE, COMMANDS, "shard.03"),
    "take in another bot's rooms": bind(MINE, "bot.victim.rooms", ""),
    "take in events with a queue of one's own": bind_own(EVENTS, "ev.#"),
    "take in live events with a queue of one's own": bind_own(LIVE, "#"),
    "take in control with a queue of one's own": bind_own(CONTROL, ""),
    "take in queries with a queue of one's own": bind_own(QUERIES, "query"),
    "lead events into one's own exchange": lead(EVENTS, "bot.thief.rooms", "ev.#"),
    "lead commands into one's own dead letters": lead(COMMANDS, OWN_DEAD, "shard.03"),
    "make a queue called as one likes": make_queue("anything"),
    "make another bot's queue": make_queue("bot.other"),
    "make a queue called almost like one's own": make_queue("bot.thief.x"),
    "make one that dead-letters to events": make_own_queue(x_dead_letter_exchange=EVENTS),
    "make one that dead-letters to any queue": make_own_queue(x_dead_letter_exchange=""),
    "make an exchange": make_exchange("warren.other"),
    "make one that dead-letters to commands": make_own_queue(x_dead_letter_exchange=COMMANDS),
    "publish a command past the relay": publish(COMMANDS, "shard.03"),
    "publish a command to no shard": publish(COMMANDS),
    "publish a query where people wait": publish(QUERIES, QUERY_KEY),
    "publish an event": publish(EVENTS, "ev.7.general"),
    "publish presence": publish(PRESENCE, "shard.03"),
    "publish control": publish(CONTROL),
    "publish to any queue by name": publish("", shard_queue(3)),
    "publish to one's own queue": publish("", MINE),
    "publish to another bot's rooms": publish("bot.victim.rooms"),
    "publish to another bot's dead letters": publish("bot.victim.dead"),
    "publish to one's own rooms": publish("bot.thief.rooms"),
    "publish to amq.topic": publish("amq.topic", "ev.7.general"),
    "show something in all rooms": publish(LIVE, "ev.#"),
}


@pytest.mark.parametrize("operation", FORBIDDEN)
async def test_a_stolen_login_reaches_nothing_but_its_own(logins: Logins, operation: str) -> None:
    async with await aio_pika.connect(logins.urls["thief"], timeout=WITHIN) as connection, asyncio.timeout(WITHIN):
        channel = await connection.channel(on_return_raises=False)
        with pytest.raises(ChannelAccessRefused):
            await FORBIDDEN[operation](connection, channel)


@pytest.mark.parametrize("exchange", [BOT_COMMANDS, BOT_QUERIES, LIVE])
async def test_a_stolen_login_speaks_in_nobody_elses_name(logins: Logins, exchange: str) -> None:
    key = event_key(logins.rooms["thief"])
    async with await aio_pika.connect(logins.urls["thief"], timeout=WITHIN) as connection, asyncio.timeout(WITHIN):
        for other in ("bot.victim", "gateway", "persistence", "operator"):
            channel = await connection.channel(on_return_raises=False)
            with pytest.raises(ChannelPreconditionFailed, match="user_id"):
                await publish(exchange, key, user_id=other)(connection, channel)


@pytest.fixture
async def thief(stack: Stack, logins: Logins) -> AsyncIterator[BrokerClient]:
    async with connect_broker(logins.urls["thief"], operator_url=stack.rabbitmq.url) as found:
        yield found


@pytest.fixture
async def den(http: httpx.AsyncClient, gateways: list[str], logins: Logins) -> str:
    """The room that the thief's bot was given; ann's."""
    room, _ = await room_of(http, gateways[0], logins, "thief")
    return room


async def outcome(thief: BrokerClient, command: dict[str, Any], **properties: Any) -> str:
    await thief.command(command, **properties)
    reply = (await thief.replies(1))[command["id"]]
    return str(reply.get("code", reply["type"]))


async def test_it_is_judged_like_anybody_and_speaks_for_itself_alone(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    secret = fresh_room("secret")
    await make_room(http, gateways[0], secret, token("ann"), "private")
    foreign = fresh_room("foreign")
    await make_room(http, gateways[0], foreign, token("ann"))
    before = len(await messages(http, gateways[0], den))
    assert await outcome(thief, send_command(foreign, MINE, "not a member")) == "forbidden"
    assert await outcome(thief, send_command(secret, MINE, "not there")) == "not_found"
    assert await outcome(thief, send_command(den, "ann", "as ann")) == "forbidden"
    assert await outcome(thief, send_command(den, "bot.victim", "as another bot")) == "forbidden"
    notice = {"type": "notify", "what": "member.banned", "of_room": den, "of_seq": 1, "kind": "public", "title": "x"}
    assert await outcome(thief, send_command(den, MINE, "x") | notice) == "forbidden"
    assert await outcome(thief, member_command("join", den, MINE)) in ("accepted", "exists")
    ban = {"type": "ban", "user": "ann"}
    assert await outcome(thief, send_command(den, MINE, "x") | ban) == "forbidden"
    assert await outcome(thief, send_command(den, MINE, "as itself")) == "accepted"
    assert [one["sender"] for one in (await messages(http, gateways[0], den))[before:]] == [MINE]


async def test_without_a_name_it_is_nobody(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    before = len(await messages(http, gateways[0], den))
    await thief.command(send_command(den, MINE, "nameless"), user_id=None)
    # There is nobody to answer to; the bot's next command is answered after it was dealt with.
    assert await outcome(thief, send_command(den, "ann", "as ann")) == "forbidden"
    assert len(await messages(http, gateways[0], den)) == before


@pytest.mark.parametrize("user", [MINE, "ann", None])
async def test_it_reads_no_room_that_is_not_its_to_read(
    thief: BrokerClient, http: httpx.AsyncClient, gateways: list[str], user: str | None
) -> None:
    secret = fresh_room("secret")
    await make_room(http, gateways[0], secret, token("ann"), "private")
    for query in (
        {"type": "events", "room": secret, "user": user, "after": 0},
        {"type": "history", "room": secret, "user": user},
        {"type": "members", "room": secret, "user": user},
        {"type": "heads", "rooms": [secret], "user": user},
        {"type": "rooms", "user": user},
        {"type": "room.accesses", "user": user, "queries": [{"room": secret, "user": "ann"}]},
        {"type": "room.accesses", "user": user, "queries": [{"room": secret, "user": MINE}]},
    ):
        if user == MINE and query["type"] in ("heads", "rooms"):
            continue  # those answer about its own
        answer = await thief.ask(query)
        assert answer["type"] == "denied", (query, answer)


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_copies_by_cc_and_bcc_reach_nothing(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str], header: str
) -> None:
    await outcome(thief, member_command("join", den, MINE))
    said = send_command(den, MINE, new_id())
    copies = [f"shard.{shard(den):02d}", QUERY_KEY, event_key(den), shard_queue(shard(den)), DEAD]
    await thief.command(said, headers={header: copies})
    last = send_command(den, MINE, "and that is all")
    await thief.command(last)
    assert list(await thief.replies(2)) == [said["id"], last["id"]]  # one answer each
    assert [one["text"] for one in await messages(http, gateways[0], den)].count(said["text"]) == 1


async def test_what_it_says_about_whose_it_is_is_not_believed(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    for other in ("gateway", "persistence", "ann"):
        assert await outcome(thief, send_command(den, "ann", "as ann"), headers={"publisher": other}) == "forbidden"


async def test_it_has_nobody_else_answered(stack: Stack, thief: BrokerClient, den: str) -> None:
    reply_queue = f"gateway.{new_id()}"
    async with connect_broker(stack.amqp_url("gateway")) as gateway:
        await gateway.declare(reply_queue)
        await thief.command(send_command(den, "ann", "as ann"), reply_to=reply_queue)
        assert await outcome(thief, send_command(den, "ann", "as ann")) == "forbidden"  # the other one is dealt with
        assert await gateway.depth(reply_queue) == 0


async def test_a_letter_that_is_sent_again_comes_in_its_name(stack: Stack, thief: BrokerClient) -> None:
    mark = new_id().encode()
    await thief.publish(BOT_COMMANDS, "", b"no commands, but " + mark)

    async def sent_again() -> bool:
        async with open_dead_letters(stack.rabbitmq.url) as letters:
            for letter in letters.found:
                if mark in letter.message.body:
                    await letters.replay(letter)
                    return True
        return False

    await until(sent_again)
    letter = await thief.dead(mark)  # without a name it would have been dropped
    assert (letter.headers["publisher"], letter.headers["source"]) == (MINE, BOT_QUEUE)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"[]", b'{"commands":5}', b'{"commands":[{"type":"explode"}]}',
        b'{"commands":[{"type":"send","room":"../../x","text":"x"}]}', b"[" * 10_000,
    ],
)  # fmt: skip
async def test_what_is_no_command_is_a_dead_letter_with_its_name_and_delays_nobody(
    thief: BrokerClient, den: str, body: bytes
) -> None:
    mark = new_id().encode()
    body = body.replace(b'{"commands":[{', b'{"commands":[{"mark":"%s",' % mark) if b"type" in body else body + mark
    await thief.publish(BOT_COMMANDS, "", body)
    letter = await thief.dead(mark)
    assert letter.headers["publisher"] == MINE
    assert await outcome(thief, send_command(den, "ann", "x")) == "forbidden"


async def test_what_it_shows_is_shown_in_its_own_name_where_it_may_write_and_nowhere_else(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    bob, foreign = f"bob-{new_id()[-6:]}", fresh_room("foreign")
    await make_room(http, gateways[0], foreign, token("ann"))
    for room in (den, foreign):
        await join_room(http, gateways[0], room, token(bob))

    async def show(room: str = den, at: str = den, **fields: Any) -> None:
        frame = {"type": "partial", "room": room, "user": MINE, "name": "Thief", "key": "k", "text": "x", **fields}
        await thief.publish(LIVE, event_key(at), json.dumps(frame).encode(), reply_to=None)

    async with connect(gateways[0], token(bob)) as watcher:
        for room in (den, foreign):
            await watcher.join(room)
        await outcome(thief, member_command("join", den, MINE))
        async with asyncio.timeout(WITHIN):
            while not of_live(await watcher.quiet()):  # until the gateway listens: what does not last may get lost
                await show(text="mine")
                await asyncio.sleep(0.3)
        await show(user="ann")
        await show(user="bot.victim")
        await show(foreign)  # the body names another room than the key, which is what the broker judges
        await show(foreign, at=foreign)  # of which it is no member
        await show(type="typing", user="ann")
        await show(type="presence", version=99, state=[])
        await show(text="x" * 5_000)
        await show(text=5)
        await show(text="too large", more="x" * 2**18)
        await show(text="padded", more="x" * 60_000)
        await show(text="mine again")
        shown = await until_shown(watcher, "partial", "mine again")
        await outcome(thief, member_command("join", den, MINE) | {"type": "leave"})
        await show(text="not a member")
        await show(type="typing")
        await thief.ask({"type": "room.access", "room": den, "user": MINE})
        await http.post(f"{gateways[0]}/v1/rooms/{den}/typing", headers=bearer(token("ann")))
        shown += await until_shown(watcher, "typing", None)
        shown += of_live(await watcher.quiet())
    assert {(frame["type"], frame["room"], frame.get("user"), frame.get("text")) for frame in shown} <= {
        ("partial", den, MINE, "mine"),
        ("partial", den, MINE, "padded"),
        ("partial", den, MINE, "mine again"),
        ("typing", den, "ann", None),
    }
    assert not any("more" in frame for frame in shown)


async def test_what_it_shows_beyond_its_pace_is_not_read(
    thief: BrokerClient, den: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Every gateway that has the room would read it. What other bots show there is shown as before."""
    bob = f"bob-{new_id()[-6:]}"
    await join_room(http, gateways[0], den, token(bob))

    async def refused() -> float:
        return await metric(gateways[0], "warren_live_messages_refused_total", of="bots")

    async def show(text: str) -> None:
        frame = {"type": "partial", "room": den, "user": MINE, "name": "Thief", "key": "k", "text": text}
        await thief.publish(LIVE, event_key(den), json.dumps(frame).encode(), reply_to=None)

    async def beyond() -> bool:
        await run_concurrently(*(show("too much") for _ in range(100)))
        return await refused() > before

    async with connect(gateways[0], token(bob)) as watcher:
        await watcher.join(den)
        await outcome(thief, member_command("join", den, MINE))
        before = await refused()
        await until(beyond, every=0)

        async def shown_again() -> bool:
            await show("later")
            return any(frame.get("text") == "later" for frame in of_live(await watcher.quiet()))

        await until(shown_again)


def of_live(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return typing, parts of replies, and states without people: no service tells one of a room that is watched."""
    return [
        frame
        for frame in frames
        if frame["type"] in ("typing", "partial") or (frame["type"] == "presence" and frame.get("state") == [])
    ]


async def until_shown(watcher: ScriptedClient, kind: str, text: str | None) -> list[dict[str, Any]]:
    """Return what does not last, up to this."""
    found: list[dict[str, Any]] = []
    while not found or (found[-1]["type"], found[-1].get("text")) != (kind, text):
        found += of_live([await watcher.next()])
    return found
