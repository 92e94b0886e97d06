"""A bot on the broker: consumes its queue, speaks through commands, stops in order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from prometheus_client import start_http_server

from warren.bot import logs, metrics
from warren.bot.api.chat import Refusal
from warren.bot.api.definition import Definition, Task
from warren.bot.api.event import events_of
from warren.bot.api.state import Memory
from warren.bot.api.trigger import INVITED
from warren.bot.api.voice import Voice
from warren.bot.broker.chat import BrokerChat
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.follower import Follower
from warren.bot.runtime.leader_lock import acquire_leadership
from warren.bot.runtime.scheduler import Scheduler
from warren.bot.runtime.worker_pool import Needed, WorkerPool
from warren.broker.backoff import backoff, pause
from warren.broker.consumer import consume, is_open, open_channel, until_closed
from warren.broker.errors import Unavailable, translated, until_lost
from warren.broker.nodes import Nodes
from warren.broker.supervised_connection import SupervisedConnection
from warren.contract.ids import inbox_room
from warren.contract.nodes import node_urls
from warren.contract.topology import EVENTS
from warren.supervise import endless

log = logging.getLogger(__name__)

Events = list[dict[str, Any]]
PREFETCH = 200
"""AMQP messages delivered and not yet acked: what bounds the bot's memory."""
AT_ONCE = 32
"""Rooms in which the bot is at work at the same time."""
HEADS_EVERY = 30.0
"""Seconds between two looks whether something was stored that has not come."""
JOINED_WITHIN = 15.0
"""Seconds for which what a task says waits for the bot to be in its rooms, as long as for any other answer."""
GRACE = 10.0
"""Seconds for what is being done when the process is told to stop."""


class Runner:
    """One process of a bot. Several may run: the broker has one of them consume, and another one when that ends."""

    def __init__(self, bot: Definition, amqp_url: str) -> None:
        self._bot = bot
        self._memory = Memory(bot.state)
        self._chat = BrokerChat(bot.user, bot.title)
        self._stop = asyncio.Event()
        self._joined = asyncio.Event()
        """The bot has tried to become a member of all its rooms; before that, it may not speak there."""
        self._not_joined = set(bot.rooms)
        self._engine = Engine(bot, self._chat, self._memory, self._chat.dead_letter)
        self._follower = Follower(self._engine, self._chat, self._memory, bot.since, self._stop.is_set)
        self._workers = WorkerPool(AT_ONCE)
        self._scheduler = Scheduler(self._engine, self._memory, self._workers)
        self._connection = SupervisedConnection(Nodes(amqp_url), bot.user, self._serve)

    async def run(self) -> None:
        """Work until told to stop, and then end what was begun."""
        stop = asyncio.create_task(self._stop.wait())
        connection, ticks = asyncio.create_task(self._connection.run()), asyncio.create_task(self._chat.ticks())
        voice = Voice(self._chat, self._bot.user, self._bot.title, self._until_joined)
        tasks = [asyncio.create_task(self._beside(work, voice)) for work in self._bot.tasks]
        try:
            done: list[asyncio.Future[object]] = [connection, ticks, stop, *tasks, self._workers.failed]  # type: ignore[list-item]
            await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            ended = [one for one in (connection, ticks, *tasks, self._workers.failed) if one.done()]
            await self._workers.stop(GRACE)
            await _end(tasks, GRACE)
            for one in ended:
                one.result()  # raises: nothing of this ends by itself
        finally:
            await _end([connection, ticks, stop, *tasks], GRACE)
            self._memory.close()

    def stop(self) -> None:
        """End in order."""
        self._stop.set()

    async def _beside(self, work: Task, voice: Voice) -> None:
        """Run a task of the bot's; one that has come to its end is no reason to stop."""
        await work(voice)
        await self._stop.wait()

    async def _until_joined(self) -> None:
        """Wait until what a task says may be stored. Raises Unavailable."""
        try:
            async with asyncio.timeout(JOINED_WITHIN):
                await self._joined.wait()
        except TimeoutError as error:
            raise Unavailable("the bot is not in its rooms yet") from error

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(until_lost(self._chat.serve(connection)))
            group.create_task(until_lost(self._follow(connection)))

    async def _follow(self, connection: AbstractConnection) -> None:
        await self._chat.ready()
        if not self._not_joined:
            self._joined.set()
        await acquire_leadership(connection, self._bot.user, self._joined.set)  # the one at work sees to the rooms
        channel = await open_channel(connection, PREFETCH)
        underlay = await channel.get_underlay_channel()
        self._workers.discard_stale()  # of the connection before
        metrics.WAITING.set(0)

        def needed() -> bool:
            return is_open(underlay)

        for room in sorted({*self._bot.rooms, *self._memory.rooms()}):
            self._workers.submit(room, lambda room=room: self._catch_up(room), needed)  # type: ignore[misc]

        def sink(message: DeliveredMessage) -> None:
            metrics.WAITING.inc()
            room, events = _read(message)
            self._workers.submit(room, lambda: self._take(room, events, message, underlay), needed)

        await consume(channel, self._bot.user, sink)
        log.info("bot active", extra={"bot": self._bot.user})
        async with asyncio.TaskGroup() as group:
            group.create_task(endless(self._scheduler.run()))
            group.create_task(endless(self._compare_heads(needed)))
            await until_closed(channel)
            raise Unavailable("channel closed")

    async def _compare_heads(self, needed: Needed) -> None:
        """Read what was stored before the last comparison and has not come: what is lost at the end leaves no gap."""
        heads: dict[str, int] = {}
        while True:
            await asyncio.sleep(HEADS_EVERY)
            for room in self._follower.behind(heads):
                if not self._workers.busy(room):
                    self._workers.submit(room, lambda room=room: self._catch_up(room), needed)  # type: ignore[misc]
            try:
                heads = await self._chat.heads(self._memory.rooms())
            except Unavailable as error:
                log.warning("heads not compared", extra={"error": str(error)})

    async def _catch_up(self, room: str) -> None:
        if room in self._bot.rooms:
            await self._join(room)
            self._not_joined.discard(room)
            if not self._not_joined:
                self._joined.set()
        await self._follower.catch_up(room)

    async def _join(self, room: str) -> None:
        """Become a member. A room that will not have the bot is the operator's to see, and costs no other room."""
        for wait in backoff():
            try:
                await self._chat.join(room)
            except Refusal as refusal:
                log.warning("room not joined", extra={"room": room, "reason": str(refusal)})
            except Unavailable:
                if not self._stop.is_set():
                    await pause(wait)
                    continue
            return

    async def _take(self, room: str, events: Events, message: DeliveredMessage, channel: AbstractChannel) -> None:
        """Handle what was delivered, and have the broker forget it."""
        try:
            if events and not await self._handle(room, events, message):
                return
        finally:
            if is_open(channel):
                metrics.WAITING.dec()
        if message.delivery_tag is not None and is_open(channel):
            with contextlib.suppress(Unavailable), translated():
                await channel.basic_ack(message.delivery_tag, wait=False)

    async def _handle(self, room: str, events: Events, message: DeliveredMessage) -> bool:
        """Handle events; return whether that is done."""
        headers = message.header.properties.headers or {}
        if message.exchange != EVENTS:  # from the operator: nobody else may write to the queue
            for event in events:
                await self._engine.repeat(room, event, str(headers.get("replay")))
            return True
        if not await self._follower.take(room, str(headers.get("epoch")), events):
            return False
        if room in self._bot.rooms and any(event["seq"] == 1 for event in events):
            await self._join(room)  # which had no room to join until now
        if room == inbox_room(self._bot.user):
            for wanted in sorted(_invited(events) & self._bot.rooms):
                await self._join(wanted)
        return True


def _read(message: DeliveredMessage) -> tuple[str, Events]:
    """Return the room and the events in it. What is not understood has none; if it was an event, it will be missed."""
    try:
        room, found = events_of(message.body)
        if message.exchange == EVENTS and not isinstance((message.header.properties.headers or {}).get("epoch"), str):
            raise ValueError("no epoch")  # noqa: TRY301
    except ValueError as error:
        log.warning(
            "not understood", extra={"exchange": message.exchange, "key": message.routing_key, "error": str(error)}
        )
        return "", []
    return room, found


def _invited(events: Events) -> set[str]:
    """Return the rooms to which notices among these invite."""
    return {str(event.get("of_room")) for event in events if event["type"] == "notice" and event.get("what") == INVITED}


async def _end(tasks: Iterable["asyncio.Task[Any]"], grace: float) -> None:
    """Cancel these, and wait for them so many seconds at most."""
    for task in tasks:
        task.cancel()
    if pending := [task for task in tasks if not task.done()]:
        await asyncio.wait(pending, timeout=grace)


def main(bot: Definition) -> None:
    """Run a bot until SIGTERM or Ctrl-C."""
    url = os.environ.get("WARREN_AMQP_URL")
    if not url:
        sys.exit("set WARREN_AMQP_URL to the bot's own login: amqp://bot.name:password@host")
    try:
        node_urls(url)
    except ValueError as error:
        sys.exit(f"WARREN_AMQP_URL: {error}")
    logs.configure(os.environ.get("WARREN_LOG_LEVEL", "info"))
    if port := os.environ.get("WARREN_METRICS_PORT"):
        start_http_server(int(port), os.environ.get("WARREN_HOST", "127.0.0.1"))
    asyncio.run(_run(bot, url))


async def _run(bot: Definition, url: str) -> None:
    runner = Runner(bot, url)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runner.stop)
    await runner.run()
