"""A bot on the broker: consumes its queue, speaks through commands, stops in order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from prometheus_client import start_http_server
from pydantic_core import from_json

from warren.bot import metrics
from warren.bot.broker import BrokerChat
from warren.bot.desk import Desk
from warren.bot.engine import Engine
from warren.bot.follower import Follower
from warren.bot.state import Memory
from warren.broker.consumer import consume, open_channel
from warren.broker.errors import Unavailable, translated
from warren.broker.link import Link
from warren.contract.topology import EVENTS

if TYPE_CHECKING:
    from warren.bot.bot import Bot

log = logging.getLogger(__name__)

PREFETCH = 200
"""AMQP messages delivered and not yet acked: what bounds the bot's memory."""
AT_ONCE = 32
"""Rooms in which the bot is at work at the same time."""
GRACE = 10.0
"""Seconds for what is being done when the process is told to stop."""


class Runner:
    """One process of a bot. Several may run: the broker has one of them consume, and another one when that ends."""

    def __init__(self, bot: "Bot", amqp_url: str) -> None:
        self._bot = bot
        self._memory = Memory(bot.state)
        self._chat = BrokerChat(bot.user, bot.title)
        self._stop = asyncio.Event()
        self._engine = Engine(bot, self._chat, self._memory, self._chat.bury)
        self._follower = Follower(self._engine, self._chat, self._memory, bot.since, self._stop.is_set)
        self._desk = Desk(AT_ONCE)
        self._link = Link(amqp_url, bot.user, self._serve)

    async def run(self) -> None:
        """Work until told to stop, and then end what was begun."""
        link, ticks = asyncio.create_task(self._link.run()), asyncio.create_task(self._chat.ticks())
        stop = asyncio.create_task(self._stop.wait())
        try:
            done: list[asyncio.Future[object]] = [link, ticks, stop, self._desk.failed]  # type: ignore[list-item]
            await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            await self._desk.stop(GRACE)
            for one in (link, ticks, self._desk.failed):
                if one.done():
                    one.result()  # raises: nothing of this ends by itself
        finally:
            for task in (link, ticks, stop):
                task.cancel()
            await asyncio.gather(link, ticks, stop, return_exceptions=True)
            self._memory.close()

    def stop(self) -> None:
        """End in order."""
        self._stop.set()

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._chat.serve(connection))
            group.create_task(self._follow(connection))

    async def _follow(self, connection: AbstractConnection) -> None:
        await self._chat.ready()
        for room in sorted({*self._bot.rooms, *self._memory.rooms()}):
            self._desk.put(room, lambda room=room: self._catch_up(room))  # type: ignore[misc]
        channel = await open_channel(connection, PREFETCH)
        underlay = await channel.get_underlay_channel()

        def sink(message: DeliveredMessage) -> None:
            key = message.routing_key or ""
            room = key.split(".", 2)[2] if message.exchange == EVENTS else key
            metrics.WAITING.inc()
            self._desk.put(room, lambda: self._take(room, message, underlay))

        await consume(channel, self._bot.user, sink)
        log.info("bot at work", extra={"bot": self._bot.user})
        await channel.closed()
        raise Unavailable("channel closed")

    async def _catch_up(self, room: str) -> None:
        if room in self._bot.rooms:
            await self._chat.join(room)
        await self._follower.catch_up(room)

    async def _take(self, room: str, message: DeliveredMessage, channel: AbstractChannel) -> None:
        metrics.WAITING.dec()
        headers = message.header.properties.headers or {}
        if message.exchange == EVENTS:
            if not await self._follower.take(room, str(headers.get("epoch")), from_json(message.body)["events"]):
                return
        elif handler := headers.get("replay"):  # from the operator: nobody else may write to the queue
            letter = from_json(message.body)
            for event in letter["events"]:
                await self._engine.repeat(letter["room"], event, str(handler))
        if message.delivery_tag is not None and not channel.is_closed:
            with contextlib.suppress(Unavailable), translated():
                await channel.basic_ack(message.delivery_tag, wait=False)


def main(bot: "Bot") -> None:
    """Run a bot until SIGTERM or Ctrl-C."""
    url = os.environ.get("WARREN_AMQP_URL")
    if not url:
        sys.exit("set WARREN_AMQP_URL to the bot's own login: amqp://bot.name:password@host")
    logging.basicConfig(level=os.environ.get("WARREN_LOG_LEVEL", "info").upper(), format="%(levelname)s %(message)s")
    if port := os.environ.get("WARREN_METRICS_PORT"):
        start_http_server(int(port), os.environ.get("WARREN_HOST", "127.0.0.1"))
    asyncio.run(_run(bot, url))


async def _run(bot: "Bot", url: str) -> None:
    runner = Runner(bot, url)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runner.stop)
    await runner.run()
