"""Well-behaved clients beside the hostile ones: each awaits its answers, so it notices what stalls."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fuzz.identifiers import ROOMS
from harness.background import background_tasks
from harness.broker_client import BrokerClient, connect_broker, send_command
from harness.client_pool import ClientPool, make_client_pool, sending
from harness.concurrency import run_concurrently
from harness.stack import Stack
from warren.bot import Bot, Message
from warren.bot.runtime.runner import Runner
from warren.contract.ids import new_id
from warren.contract.topology import SHARDS, shard

WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""
OWNER = "sentinel"
ASKED = 6
"""Queries at once: each replica gets some."""
AGAIN_AFTER = 0.5
"""Seconds from a bot's end to its next beginning."""
PAUSE = 0.2
"""Seconds between two messages of the same person."""


def rooms_by_shard() -> list[str]:
    """Return a room of each shard."""
    found: dict[int, str] = {}
    for number in range(1_000):
        found.setdefault(shard(f"watch-{number}"), f"watch-{number}")
    return [found[number] for number in range(SHARDS)]


class Listener:
    """A bot that is shown hostile events in ROOMS, and hears what is said in a room of its own."""

    def __init__(self, name: str, room: str) -> None:
        self.bot = Bot(name, rooms=[*ROOMS, room])
        self.room = room
        self.ended: list[str] = []
        """What it ended with, each time, since somebody asked."""
        self._heard: dict[str, asyncio.Event] = {}
        self.bot.message()(self._hear)

    async def run(self, url: str) -> None:
        """Be at work until cancelled; what ends it is taken down, and it begins anew."""
        while True:
            try:
                await Runner(self.bot, url).run()
            except Exception:
                self.ended.append(traceback.format_exc())
            await asyncio.sleep(AGAIN_AFTER)

    async def _hear(self, message: Message) -> None:
        if (event := self._heard.get(message.text)) is not None:
            event.set()

    async def hears(self, text: str, say: Callable[[], Awaitable[None]]) -> None:
        """Wait until the bot has heard what is said now."""
        event = self._heard[text] = asyncio.Event()
        await say()
        await event.wait()
        del self._heard[text]


class Bystanders:
    """A gateway's and a bot's commands and queries, people in a room, and a bot that listens."""

    def __init__(self, buses: Mapping[str, BrokerClient], pool: ClientPool, listener: Listener) -> None:
        self.rooms = rooms_by_shard()
        self._buses = buses
        self._crowd = pool
        self._listener = listener

    async def served(self) -> list[str]:
        """Return who waits in vain, a sentence each."""
        checks: Mapping[str, Callable[[], Awaitable[None]]] = {
            "a message to each shard": lambda: self._command("gateway", self.rooms, OWNER),
            "a bot's message": lambda: self._command("bot", self.rooms[:1], self._buses["bot"].user),
            "queries": lambda: self._ask("asking", OWNER),
            "a bot's queries": lambda: self._ask("asking bot", self._buses["asking bot"].user),
            "people's messages": lambda: self._crowd.everyone_says(1),
            "what a bot hears": self._hear,
        }
        found = await run_concurrently(*(_in_time(what, check) for what, check in checks.items()))
        ended, self._listener.ended = self._listener.ended, []
        return [*(f"the bot that listens has ended: {what}" for what in ended), *(what for what in found if what)]

    async def _command(self, who: str, rooms: list[str], sender: str) -> None:
        said = [send_command(room, sender, "still there?") for room in rooms]
        for one in said:
            await self._buses[who].command(one)
        replies = await self._buses[who].replies(len(said))
        assert {one["type"] for one in replies.values()} == {"accepted"}, replies

    async def _ask(self, who: str, user: str) -> None:
        for _ in range(ASKED):
            answer = await self._buses[who].ask({"type": "room.access", "room": self.rooms[0], "user": user})
            assert answer["type"] == "access", answer

    async def _hear(self) -> None:
        text = new_id()
        said = send_command(self._listener.room, OWNER, text)
        await self._listener.hears(text, lambda: self._buses["saying"].command(said))


async def _in_time(what: str, check: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(WITHIN):
            await check()
    except TimeoutError:
        return f"no answer within {WITHIN:g} s to {what}"
    except AssertionError as error:
        return f"a wrong answer to {what}: {error}"
    return None


def made(room: str) -> dict[str, Any]:
    """Return the command that makes a room."""
    return {**send_command(room, OWNER, ""), "type": "room.create", "kind": "public", "title": room}


@asynccontextmanager
async def run_bystanders(stack: Stack, urls: Mapping[str, str]) -> AsyncIterator[Bystanders]:
    """Have people talk and bots work until the block is left. `urls`: of the bots `steady` and `listener`."""
    gateway, steady, own = stack.amqp_url("gateway"), urls["steady"], rooms_by_shard()
    logins = {"gateway": gateway, "asking": gateway, "saying": gateway, "bot": steady, "asking bot": steady}
    async with AsyncExitStack() as exits:
        buses = {who: await exits.enter_async_context(connect_broker(url)) for who, url in logins.items()}
        for room in own:
            await buses["gateway"].command(made(room))
        await buses["gateway"].replies(len(own))
        await buses["bot"].command({**send_command(own[0], buses["bot"].user, ""), "type": "join"})
        await buses["bot"].replies(1)
        listener = Listener("listener", own[1])
        await exits.enter_async_context(background_tasks(listener.run(urls["listener"])))
        urls_of_gateways = [one.url for one in stack.gateways]
        members = await make_client_pool(urls_of_gateways, rooms=1, per_room=2, transports=("websocket", "sse"))
        pool = await exits.enter_async_context(sending(members, urls_of_gateways, PAUSE))
        yield Bystanders(buses, pool, listener)
        await pool.finish()
        found = await pool.violations(stack.mongodb.url)
        assert not found, found
