"""Bots as they behave or do not, a process each: a part of `./dev bench bots`.

`python -m benchmarks.behaviours NAME BEHAVIOUR ROOM…`; WARREN_AMQP_URL is where the bot connects.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable

import aio_pika
from warren.bot import Bot, Message, Refusal, Unavailable, Voice
from warren.bot.broker import chat as broker
from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract import commands as c
from warren.contract.ids import new_id
from warren.contract.topology import BOT_COMMANDS
from warren.rates import Rate

TEXT = "x" * 200
BATCH = 50
"""Commands in one AMQP message of a flood."""
UNLIMITED = Rate(1e9, 1e9)


def listens(bot: Bot) -> None:
    """Hear everything and answer nothing."""

    @bot.message()
    async def hear(message: Message) -> None:
        pass


def answers(bot: Bot) -> None:
    """Answer every message."""

    @bot.message()
    async def answer(message: Message) -> None:
        await message.reply(message.text)


def hurries(bot: Bot) -> None:
    """Answer every message, without the library's pace."""
    broker.COMMAND_RATE = UNLIMITED
    answers(bot)


def talks(bot: Bot) -> None:
    """Say something whenever the library lets it."""

    @bot.task
    async def talk(voice: Voice) -> None:
        for number in itertools.count():
            with contextlib.suppress(Refusal, Unavailable):
                await voice.send(next(iter(bot.rooms)), TEXT, f"{number}")


def raises(bot: Bot) -> None:
    """Fail at every message."""

    @bot.message()
    async def fail(message: Message) -> None:
        raise RuntimeError("as always")


def hangs(bot: Bot) -> None:
    """Halt the whole process at the first message."""

    @bot.message()
    async def hang(message: Message) -> None:
        time.sleep(3_600)  # noqa: ASYNC251 - what is measured


BEHAVIOURS: dict[str, Callable[[Bot], None]] = {
    behaviour.__name__: behaviour for behaviour in (listens, answers, hurries, talks, raises, hangs)
}


async def floods(url: str, name: str, room: str) -> None:
    """Send commands as fast as the broker takes them, without the library."""
    publisher, user = Publisher(), f"bot.{name}"

    async def send(*commands: c.AnyCommand) -> None:
        body = c.Commands(commands=list(commands)).model_dump_json(exclude_none=True).encode()
        with contextlib.suppress(Unavailable):
            await publisher.publish(BOT_COMMANDS, "", body, mandatory=True, delivery_mode=PERSISTENT)

    def common() -> c.Common:
        return {"id": new_id(), "room": room, "sender": user, "name": name, "key": new_id()}

    async with await aio_pika.connect(url) as connection, asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.serve(connection))
        await send(c.Join(**common()))
        while True:
            await send(*(c.Send(**common(), text=TEXT) for _ in range(BATCH)))


def main() -> None:
    """Run one bot until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("behaviour", choices=[*BEHAVIOURS, floods.__name__])
    parser.add_argument("rooms", nargs="+")
    given = parser.parse_args()
    if given.behaviour == floods.__name__:
        asyncio.run(floods(os.environ["WARREN_AMQP_URL"], given.name, given.rooms[0]))
    bot = Bot(given.name, rooms=given.rooms)
    BEHAVIOURS[given.behaviour](bot)
    bot.run()


if __name__ == "__main__":
    main()
