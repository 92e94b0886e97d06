"""Bots that are killed, and bots that go wrong: every trigger is answered once, and people notice nothing."""

import asyncio
import contextlib
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from conftest import BASE_PORT
from harness.background import background_tasks
from harness.bots import WITHIN, depth, end, give_logins, start, until
from harness.broker_client import BrokerClient, connect_broker, send_command
from harness.checker import check, read_store
from harness.client_pool import ClientPool, make_clients, sending
from harness.concurrency import run_concurrently
from harness.observability import metric
from harness.resilient_client import ResilientClient, fresh_room, join_room, sign_in
from harness.stack import Stack
from harness.transport import TRANSPORTS
from warren.bot.broker.chat import COMMAND_RATE
from warren.broker.dead_letters import open_dead_letters
from warren.contract.bots import is_bot
from warren.contract.ids import new_id
from warren_persistence.bots.admission import BOTS

Record = Callable[[str, object], None]
METRICS = BASE_PORT + 2_500
"""The port at which a bot's metrics are; one bot at a time has it, and its companion the next."""
WINDOW = 30
"""Messages of a room that wait for their answer, at most: more than that would outgrow what a bot may say."""
DEATHS = ("answers", "at work", "answers", "at once", "at work", "connected")
"""When a bot dies, over and over: in the midst of it, with all of its queue before it, at birth, before it consumes."""
LOGGED = {"at work": b"bot active", "connected": b"broker connected"}
SMALL = 20
"""Messages that the queue of the bot that reads slowly may hold."""
CHATTER = 5
"""Messages of bots in a row that are answered by bots (`warren.bot.Policy`)."""
RIGHTS = {
    "echo": [fresh_room("echo") for _ in range(6)],
    **{name: [fresh_room(name)] for name in ("raises", "hangs", "floods", "wild", "parrot")},
    "reads": [fresh_room("reads") for _ in range(2)],
}
RIGHTS["tweedledum"] = RIGHTS["tweedledee"] = [fresh_room("tweedle")]


@pytest.fixture(scope="module")
def urls(stack: Stack) -> dict[str, str]:
    """Return where each bot connects. One has a small queue: its bound is reached sooner."""
    small = {
        "vhost": "/", "name": "bots-small", "pattern": r"^bot\.reads$", "apply-to": "queues", "priority": 2,
        "definition": {"max-length": SMALL},
    }  # fmt: skip
    return give_logins(stack, RIGHTS, [small])


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


class Echoes:
    """What has been asked and answered in some rooms, as one member sees it."""

    def __init__(self, watcher: ResilientClient) -> None:
        self.watcher = watcher
        self.waiting: Counter[str] = Counter()
        self.answers = 0
        self._read = dict.fromkeys(watcher.logs, 0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; it is looked at whenever something has been said."""
        self._look()
        while not condition():
            self.watcher.moved.clear()
            await self.watcher.moved.wait()
            self._look()

    def _look(self) -> None:
        for room, log in self.watcher.logs.items():
            for event in log.events[self._read[room] :]:
                if event["type"] == "message":
                    answer = event["sender"] == "bot.echo"
                    self.waiting[room] += -1 if answer else 1
                    self.answers += answer
            self._read[room] = len(log.events)


async def ask(member: ResilientClient, echoes: Echoes, enough: asyncio.Event) -> None:
    """Say one thing after the other, as long as the bot keeps up."""
    (room,) = member.logs
    for number in itertools.count():
        await echoes.until(lambda: enough.is_set() or echoes.waiting[room] < WINDOW)
        if enough.is_set():
            return
        await member.send(room, f"{member.user} says {number}")


async def die(bot: subprocess.Popen[bytes], moment: str, log: Path, echoes: Echoes, chance: random.Random) -> None:
    """SIGKILL the bot at such a moment."""
    if moment == "answers":
        goal = echoes.answers + chance.randint(1, 60)
        await echoes.until(lambda: echoes.answers >= goal)
    elif moment in LOGGED:
        await until(lambda: contains(log, LOGGED[moment]), every=0.01)
    await asyncio.sleep(chance.uniform(0, 0.03))  # not a wait for something: where in its work it dies
    assert bot.poll() is None, "it has ended by itself; see its log"
    bot.kill()
    await asyncio.to_thread(bot.wait)


@asynccontextmanager
async def connected(members: Sequence[ResilientClient]) -> AsyncIterator[None]:
    async with background_tasks(*(member.run() for member in members)):
        for member in members:
            await member.ready()
        yield


async def watcher_of(http: httpx.AsyncClient, gateways: Sequence[str], rooms: Sequence[str]) -> ResilientClient:
    token, user = await sign_in(http, gateways[0], "watcher")
    for room in rooms:
        await join_room(http, gateways[0], room, token)
    return ResilientClient(token, user, gateways, rooms)


REMEMBERS = (
    "import sys; from pathlib import Path; from bots.echo.bot import bot; bot.state = Path(sys.argv[1]); bot.run()"
)
ECHO = {
    "by its queue alone": (("-m", "bots.echo.bot"), RIGHTS["echo"][:3]),
    "with a file": (("-c", REMEMBERS, "echo.db"), RIGHTS["echo"][3:]),
}


@pytest.mark.parametrize("way", ECHO)
async def test_whenever_the_bot_is_killed_every_message_is_answered_once_and_in_order(
    stack: Stack, urls: dict[str, str], http: httpx.AsyncClient, tmp_path: Path, way: str, long: bool,
    record_property: Record,
) -> None:  # fmt: skip
    gateways = [gateway.url for gateway in stack.gateways]
    kills, chance = 100 if long else len(DEATHS), random.Random(way)
    words, rooms = ECHO[way]
    askers = await make_clients(gateways, rooms, per_room=2)
    watcher = await watcher_of(http, gateways, rooms)
    env = {"WARREN_AMQP_URL": urls["echo"], "WARREN_ECHO_ROOMS": ",".join(rooms)}
    command = [word.replace("echo.db", str(tmp_path / "echo.db")) for word in words]
    echoes, enough = Echoes(watcher), asyncio.Event()

    def born(number: int) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"echo-{number}.log"
        return start(sys.executable, *command, log=log, **env), log

    async with asyncio.timeout(WITHIN * 15), connected([watcher, *askers]):
        asking = [asyncio.create_task(ask(member, echoes, enough)) for member in askers]
        for number, moment in zip(range(kills), itertools.cycle(DEATHS), strict=False):
            bot, log = born(number)
            await die(bot, moment, log, echoes, chance)
        bot, _ = born(kills)
        try:
            enough.set()
            await run_concurrently(*asking)
            await echoes.until(lambda: max(echoes.waiting.values()) <= 0)
        finally:
            end(bot)
        store = await asyncio.to_thread(read_store, stack.mongodb.url, rooms)
        for member in (watcher, *askers):
            for room in member.logs:
                await member.reached(room, len(store[room]))
    assert check([watcher, *askers], store) == []
    for events in store.values():
        said = [event for event in events if event["type"] == "message"]
        asked = [event for event in said if event["sender"] != "bot.echo"]
        answered = [event for event in said if event["sender"] == "bot.echo"]
        assert [(one["reply_to"], one["text"]) for one in answered] == [(one["seq"], one["text"]) for one in asked]
        assert asked
    record_property("answered", echoes.answers)


# What follows are bots that go wrong, in a room in which people talk; people talk in another one, too.


async def gather(stack: Stack, room: str) -> list[ResilientClient]:
    """Make the bot's room and another one, and return people, who are there over all transports."""
    gateways = [gateway.url for gateway in stack.gateways]
    return await make_clients(gateways, [room, fresh_room("elsewhere")], per_room=3, transports=TRANSPORTS)


@asynccontextmanager
async def conversation(
    stack: Stack, people: Sequence[ResilientClient], settled: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[ClientPool]:
    """Have people talk; in the end everything must be right for each of them.

    `settled` returns when bots that are still at work have said their last word.
    """
    gateways = [gateway.url for gateway in stack.gateways]
    async with asyncio.timeout(WITHIN * 10), sending(people, gateways) as pool:
        await pool.everyone_says(1)
        yield pool
        await pool.finish()
        if settled is not None:
            await settled()
        violations = await pool.violations(stack.mongodb.url)
    assert violations == []


@dataclass(frozen=True, slots=True)
class FaultyBot:
    """A process of `harness.faulty_bots`. `url`: where its metrics are."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    async def counts(self, name: str, **labels: str) -> float:
        return await metric(self.url, name, **labels)

    async def works(self) -> None:
        """Wait until it is at work."""
        await until(lambda: contains(self.log, LOGGED["at work"]))


@asynccontextmanager
async def faulty(
    urls: dict[str, str], name: str, folder: Path, env: Mapping[str, str] | None = None, *, port: int = METRICS
) -> AsyncIterator[FaultyBot]:
    log = folder / f"{name}.log"
    environment = {
        "WARREN_AMQP_URL": urls[name], "WARREN_METRICS_PORT": str(port), "WARREN_ROGUE_ROOM": RIGHTS[name][0],
        "WARREN_ROGUE_NOTES": str(folder / "notes"), **(env or {}),
    }  # fmt: skip
    process = start(sys.executable, "-m", "harness.faulty_bots", name, log=log, **environment)
    try:
        yield FaultyBot(process, f"http://127.0.0.1:{port}", log)
    finally:
        await asyncio.to_thread(end, process)
    assert process.returncode == 0, log.read_text()


async def said(stack: Stack, room: str) -> list[dict[str, Any]]:
    """Return the room's messages, as they are stored."""
    store = await asyncio.to_thread(read_store, stack.mongodb.url, [room])
    return [event for event in store[room] if event["type"] == "message"]


async def refused(stack: Stack, name: str, code: str) -> float:
    """Return how many commands of a bot the writers have refused so."""
    labels = {"user": f"bot.{name}", "code": code}
    return sum([await metric(each.url, "warren_bot_commands_refused_total", **labels) for each in stack.persistence])


@pytest.mark.parametrize(
    ("name", "reason"), [("raises", "RuntimeError('it was never tested')"), ("hangs", "took longer than 0.05 s")]
)
async def test_one_that_fails_at_everything_leaves_dead_letters_and_an_empty_queue(
    stack: Stack, urls: dict[str, str], tmp_path: Path, name: str, reason: str, long: bool, record_property: Record
) -> None:
    (room,) = RIGHTS[name]
    people = await gather(stack, room)
    async with faulty(urls, name, tmp_path) as bot:
        await bot.works()
        async with conversation(stack, people) as pool:
            await pool.everyone_says(50 if long else 5)
        given_up = float(len(await said(stack, room)))

        async def done() -> bool:
            return await bot.counts("warren_bot_given_up_total", handler="answer") >= given_up

        await until(done)
        await until(lambda: holds(stack, f"bot.{name}", 0))
        assert await bot.counts("warren_bot_given_up_total") == given_up
        assert await bot.counts("warren_bot_retries_total") == given_up
        assert await bot.counts("warren_bot_handled_total") == 0
    record_property("given up", given_up)
    assert await depth(stack.rabbitmq.url, f"bot.{name}.dead") == given_up
    async with open_dead_letters(stack.rabbitmq.url, name) as letters:
        assert {letter.header("reason") for letter in letters.found} == {reason}


async def test_one_that_floods_waits_for_its_turn(
    stack: Stack, urls: dict[str, str], tmp_path: Path, long: bool, record_property: Record
) -> None:
    (room,) = RIGHTS["floods"]
    async with conversation(stack, await gather(stack, room)) as pool:
        started = time.monotonic()
        async with faulty(urls, "floods", tmp_path) as bot:

            async def paced() -> bool:
                return await bot.counts("warren_bot_paced_total") > 0

            await bot.works()
            await until(paced)
            await pool.everyone_says(50 if long else 5)
            await until(spoken_beyond(stack, room, COMMAND_RATE.burst))
        elapsed = time.monotonic() - started
        spoken = [one for one in await said(stack, room) if one["sender"] == "bot.floods"]
    record_property("spoken", f"{len(spoken)} in {elapsed} s")
    assert COMMAND_RATE.burst < len(spoken) <= COMMAND_RATE.burst + COMMAND_RATE.per_second * elapsed
    assert await refused(stack, "floods", "too_many") == 0


async def test_one_that_floods_by_hand_is_paced_by_the_relay(
    stack: Stack, urls: dict[str, str], long: bool, record_property: Record
) -> None:
    (room,) = RIGHTS["wild"]
    people = await gather(stack, room)
    async with (
        conversation(stack, people) as pool,
        connect_broker(urls["wild"], operator_url=stack.rabbitmq.url) as wild,
    ):
        await joined(wild, room)
        started = time.monotonic()
        tasks, messages, commands = 20, 250 if long else 25, 10

        async def flood() -> None:
            for _ in range(messages):
                await wild.command(*(send_command(room, wild.user, "me again") for _ in range(commands)))

        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(flood())
            await pool.everyone_says(20 if long else 5)
        await drained(wild, room)
        elapsed = time.monotonic() - started
        spoken = [one for one in await said(stack, room) if one["sender"] == wild.user]
    over = await refused(stack, "wild", "too_many")
    record_property("spoken", f"{len(spoken)} in {elapsed} s, {over} refused")
    assert BOTS.burst <= len(spoken) <= BOTS.burst + BOTS.per_second * elapsed
    assert over >= tasks * messages - len(spoken) / commands  # each that was not spoken as a whole counts once at least


async def test_one_that_answers_itself_by_hand_is_paced_by_the_relay(
    stack: Stack, urls: dict[str, str], long: bool, record_property: Record
) -> None:
    (room,) = RIGHTS["parrot"]
    people = await gather(stack, room)
    async with conversation(stack, people) as pool, parrot(urls["parrot"], room, stack) as bot:
        started = time.monotonic()
        await bot.answers(True)

        async def paced() -> bool:
            return await refused(stack, "parrot", "too_many") > BOTS.per_second

        await until(paced)
        await pool.everyone_says(50 if long else 5)
        await bot.answers(False)
        await drained(bot.bus, room)
        elapsed = time.monotonic() - started
        spoken = [one for one in await said(stack, room) if one["sender"] == bot.bus.user]
    over = await refused(stack, "parrot", "too_many")
    record_property("spoken", f"{len(spoken)} in {elapsed} s, {over} refused")
    assert BOTS.burst <= len(spoken) <= BOTS.burst + BOTS.per_second * elapsed


async def test_two_that_answer_each_other_stop_until_somebody_else_speaks(
    stack: Stack, urls: dict[str, str], tmp_path: Path, long: bool, record_property: Record
) -> None:
    (room,) = RIGHTS["tweedledum"]
    pair = ("bot.tweedledee", "bot.tweedledum")

    people = await gather(stack, room)
    member = next(one for one in people if room in one.logs)

    async def silent() -> None:
        """Return when all is answered that is to be: an answer more would have to be answered, too."""
        while sorted(answered(messages := shown(member, room))) != sorted(due(messages, pair)):
            member.moved.clear()
            await member.moved.wait()

    async with (
        faulty(urls, "tweedledum", tmp_path) as one,
        faulty(urls, "tweedledee", tmp_path, port=METRICS + 1) as other,
        conversation(stack, people, silent) as pool,
    ):
        await one.works()
        await other.works()
        await pool.everyone_says(20 if long else 3)
    found = await said(stack, room)
    for bot in pair:
        mine = [seq for user, seq in answered(found) if user == bot]
        assert mine == [seq for user, seq in due(found, pair) if user == bot]
        assert mine
        record_property(bot, f"{len(mine)} of {len(found)}")


@pytest.mark.parametrize("how", ["not at all", "slowly"])
async def test_one_that_does_not_read_has_a_full_queue_and_misses_nothing(
    stack: Stack, urls: dict[str, str], tmp_path: Path, how: str, long: bool, record_property: Record
) -> None:
    room = RIGHTS["reads"][how == "slowly"]
    full = 500 if long else 100 if how == "not at all" else 20
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    env = {"WARREN_ROGUE_ROOM": room, "WARREN_ROGUE_GATE": str(gate)}
    people = await gather(stack, room)
    async with faulty(urls, "reads", tmp_path, env) as bot:
        await bot.works()
        async with conversation(stack, people) as pool, connect_broker(stack.amqp_url("gateway")) as gateway:
            user = next(member.user for member in people if room in member.logs)
            await until(lambda: contains(notes, room.encode()))
            if how == "not at all":
                bot.process.send_signal(signal.SIGSTOP)
            lengths: Counter[int] = Counter()

            async def reading() -> bool:
                return await depth(stack.rabbitmq.url, "bot.reads") < SMALL

            while lengths[SMALL] < full:  # each time it is as long as it may be, and more comes
                gate.touch()
                await gateway.fill(room, user, ["and so on"] * SMALL)
                length = await depth(stack.rabbitmq.url, "bot.reads")
                lengths[length] += 1
                if how == "slowly" and length == SMALL:  # it reads a little, as much as there is time for
                    gate.unlink()
                    await until(reading, every=0.01)
            gate.unlink(missing_ok=True)
            assert max(lengths) == SMALL
            bot.process.send_signal(signal.SIGCONT)
            await pool.everyone_says(1)
        wanted = [f"{room} {one['seq']}" for one in await said(stack, room)]

        async def read() -> bool:
            return notes.read_text().count("\n") >= len(wanted)

        await until(read, within=WITHIN * 3)
        await until(lambda: holds(stack, "bot.reads", 0))
        assert notes.read_text().splitlines() == wanted
        caught_up = await bot.counts("warren_bot_caught_up_total")
        record_property("read", f"{len(wanted)}, {caught_up} of them from the log")
        assert caught_up > 0


async def contains(file: Path, text: bytes) -> bool:
    return text in await asyncio.to_thread(lambda: file.read_bytes() if file.exists() else b"")


async def holds(stack: Stack, queue: str, length: int) -> bool:
    return await depth(stack.rabbitmq.url, queue) == length


async def joined(bot: BrokerClient, room: str) -> None:
    key = new_id()
    await bot.command({"type": "join", "id": key, "room": room, "sender": bot.user, "name": bot.user, "key": key})
    assert (await bot.replies(1))[key]["type"] == "accepted"


async def drained(bot: BrokerClient, room: str) -> None:
    """Wait until all that the bot has sent to the room is dealt with: something more is stored, once it may speak."""
    last = send_command(room, bot.user, "and that is all")

    async def stored() -> bool:
        await bot.command(last)
        with contextlib.suppress(TimeoutError):  # beyond its pace there is no answer
            async with asyncio.timeout(1):
                while (last["id"], "accepted") not in {
                    (one["id"], one["type"]) for one in (await bot.answer())["replies"]
                }:
                    pass
                return True
        return False

    await until(stored)


def spoken_beyond(stack: Stack, room: str, number: float) -> Callable[[], Awaitable[bool]]:
    """Return the question whether bots have said more than so many things in a room."""

    async def beyond() -> bool:
        return sum(is_bot(one["sender"]) for one in await said(stack, room)) > number

    return beyond


class Parrot:
    """Answers everything twice, itself included: it is made without the library."""

    def __init__(self, own: BrokerClient, room: str, queue: AbstractQueue) -> None:
        self.bus = own
        self._room = room
        self._queue = queue
        self._tag: str | None = None

    async def answers(self, on: bool) -> None:
        """Begin to answer, or stop."""
        if on:
            self._tag = await self._queue.consume(self._take)
        elif self._tag is not None:
            await self._queue.cancel(self._tag)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        for event in json.loads(message.body)["events"]:
            if event["type"] == "message":
                await self.bus.command(*(send_command(self._room, self.bus.user, "I quite agree") for _ in range(2)))
        await message.ack()


@asynccontextmanager
async def parrot(url: str, room: str, stack: Stack) -> AsyncIterator[Parrot]:
    async with connect_broker(url, operator_url=stack.rabbitmq.url) as own, await aio_pika.connect(url) as connection:
        await joined(own, room)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        yield Parrot(own, room, await channel.get_queue(own.user, ensure=False))


def shown(member: ResilientClient, room: str) -> list[dict[str, Any]]:
    return [event for event in member.logs[room].events if event["type"] == "message"]


def answered(messages: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return which bot has answered which message."""
    return [(one["sender"], one["reply_to"]) for one in messages if is_bot(one["sender"])]


def due(messages: Iterable[dict[str, Any]], bots: Iterable[str]) -> list[tuple[str, int]]:
    """Return which bot has to answer which message, if they answer everybody but themselves."""
    found, row = [], 0
    for one in messages:
        row = row + 1 if is_bot(one["sender"]) else 0
        found += [(bot, one["seq"]) for bot in bots if bot != one["sender"] and row <= CHATTER]
    return found
