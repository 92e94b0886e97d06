"""Bots with faults, each as a process of its own: `python -m harness.faulty_bots raises`."""

import asyncio
import os
import sys
from pathlib import Path

from warren.bot import Bot, Message, Policy, Voice
from warren.bot.runtime import runner

from harness.concurrency import run_concurrently

ROOM = os.environ.get("WARREN_ROGUE_ROOM", "general")
NOTES = Path(os.environ.get("WARREN_ROGUE_NOTES", "notes"))
"""Where the ones that read take note of what they have read: a room and a seq a line."""
HASTY = Policy(timeout=0.05, tries=2, first_wait=0.01, longest_wait=0.02)
VOICES = 50
"""How many at once say something, in a flood."""


def _bot(name: str, policy: Policy | None = None) -> Bot:
    return Bot(name, rooms=[ROOM], policy=policy)


def raises() -> Bot:
    """Fail at whatever is said."""
    bot = _bot("raises", HASTY)

    @bot.message()
    async def answer(message: Message) -> None:
        raise RuntimeError("it was never tested")

    return bot


def hangs() -> Bot:
    """Never come to an end with whatever is said."""
    bot = _bot("hangs", HASTY)

    @bot.message()
    async def answer(message: Message) -> None:
        await asyncio.Event().wait()

    return bot


def floods() -> Bot:
    """Speak as fast as it goes."""
    bot = _bot("floods")

    @bot.task
    async def flood(voice: Voice) -> None:
        async def speak(which: int) -> None:
            for number in range(sys.maxsize):
                await voice.send(ROOM, "me again", key=f"{which}/{number}")

        await run_concurrently(*(speak(which) for which in range(VOICES)))

    return bot


def answers(name: str) -> Bot:
    """Answer everybody, other bots, too."""
    bot = _bot(name)

    @bot.message(bots=True)
    async def answer(message: Message) -> None:
        await message.reply("I quite agree")

    return bot


CHECK_EVERY = 0.01
"""Seconds between two looks at the gate."""


def reads() -> Bot:
    """Take note of every message, but of none while there is a file where WARREN_ROGUE_GATE says."""
    runner.PREFETCH = 10  # so that a small test is enough to fill its queue
    bot = Bot("reads", rooms=[ROOM], state=NOTES.with_suffix(".db"))
    gate = Path(os.environ["WARREN_ROGUE_GATE"])
    notes = NOTES.open("a", buffering=1)

    @bot.message()
    async def note(message: Message) -> None:
        while gate.exists():  # noqa: ASYNC110, ASYNC240  # a look at a file system that is not slow
            await asyncio.sleep(CHECK_EVERY)
        notes.write(f"{message.room} {message.seq}\n")

    return bot


FAULTY_BOTS = {
    "raises": raises,
    "hangs": hangs,
    "floods": floods,
    "tweedledum": lambda: answers("tweedledum"),
    "tweedledee": lambda: answers("tweedledee"),
    "reads": reads,
}

if __name__ == "__main__":
    FAULTY_BOTS[sys.argv[1]]().run()
