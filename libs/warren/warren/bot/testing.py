"""Talking to a bot in a test: people say things, the bot answers. No broker, and the same test runs against a real one.

async def test_it_answers() -> None:
    async with Dialogue(bot) as talk:
        await talk.says("ann", "hello")
        assert await talk.answer() == "You said: hello"
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Self

from warren.bot.api.chat import LogPage, Refusal
from warren.bot.api.event import Event
from warren.bot.api.state import Memory
from warren.bot.api.timers import next_due, overdue
from warren.bot.api.voice import Voice
from warren.bot.bot import Bot
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.follower import Follower
from warren.contract import commands as c
from warren.contract.events import NUMBERED, event_type
from warren.contract.ids import inbox_room, new_id
from warren.contract.presence import IsTyping, Partial
from warren.contract.queries import RANGE_LIMIT
from warren.contract.wire import rfc3339, utc_now

EPOCH = "memory"
WITHIN = 10.0
"""Seconds for an answer; a bound, not an expectation."""


class Rooms:
    """Rooms in memory, with what the writer promises: a gap-free log, and the same answer for the same key."""

    def __init__(self) -> None:
        self.logs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.shown: list[IsTyping | Partial] = []
        self.refuse: Callable[[c.AnyCommand], Refusal | None] = lambda _: None
        """Says what is refused, to test what the bot makes of it."""
        self.now = utc_now()
        """The rooms' clock; it stands still until a test moves it."""
        self.moved = asyncio.Event()
        self._keys: dict[tuple[str, str, str], dict[str, Any]] = {}

    async def submit(self, command: c.AnyCommand) -> c.Accepted:
        """Store what a command asks for."""
        if (refusal := self.refuse(command)) is not None:
            raise refusal
        known = self._keys.get((command.room, command.sender, command.key))
        event = known or self.add(command.room, _event(command, self.now))
        self._keys[command.room, command.sender, command.key] = event
        return c.Accepted(id=command.id, seq=event["seq"], number=event.get("number", 0))

    async def show(self, frame: IsTyping | Partial) -> None:
        """Take note of what was shown."""
        self.shown.append(frame)

    async def read(self, room: str, after: int, limit: int = RANGE_LIMIT) -> LogPage:
        """Return what follows in a room's log."""
        log = self.logs[room]
        return LogPage(EPOCH, len(log), log[after : after + limit])

    def add(self, room: str, event: dict[str, Any]) -> dict[str, Any]:
        """Put an event into a room's log."""
        log = self.logs[room]
        event["seq"] = len(log) + 1
        if event["type"] in NUMBERED:
            event["number"] = sum(one["type"] in NUMBERED for one in log) + 1
        log.append(event)
        self.moved.set()
        return event


class Dialogue:
    """A bot, and rooms in memory."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.rooms = Rooms()
        self.memory = Memory()
        self.dead_letters: list[tuple[Event, str, str]] = []
        self._before: dict[tuple[str, int], bytes] = {}
        self._last = self.memory.dump()
        self._read: defaultdict[str, int] = defaultdict(int)
        self._tasks: list[asyncio.Task[None]] = []
        self._start()

    @property
    def buried(self) -> list[tuple[Event, str, str]]:
        """The name that `dead_letters` had before."""
        return self.dead_letters

    @property
    def now(self) -> datetime:
        """What time it is for the bot and in its rooms."""
        return self.rooms.now

    async def __aenter__(self) -> Self:
        voice = Voice(self.rooms, self.bot.user, self.bot.title)
        self._tasks = [asyncio.ensure_future(work(voice)) for work in self.bot.tasks]
        await asyncio.sleep(0)  # they have begun
        return self

    async def __aexit__(self, *_: object) -> None:
        failed = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.memory.close()
        for error in filter(None, failed):
            raise error

    async def says(self, user: str, text: str, room: str = "room", reply_to: int | None = None) -> int:
        """Somebody says something, and the bot handles it; return its seq."""
        return await self._happens(c.Send(**_by(user, room), text=text, reply_to=reply_to))

    async def joins(self, user: str, room: str = "room") -> int:
        """Somebody becomes a member, and the bot handles it; return the event's seq."""
        return await self._happens(c.Join(**_by(user, room)))

    async def invites(self, user: str, room: str) -> int:
        """Somebody invites the bot into a private room, and the bot is told in its inbox; return that event's seq."""
        inbox = inbox_room(self.bot.user)
        notice = {"what": "member.invited", "of_room": room, "of_seq": 1, "kind": "private", "title": room.title()}
        event = {"type": "notice", "at": rfc3339(self.now), **_by(user, inbox), **notice}
        seq = int(self.rooms.add(inbox, event)["seq"])
        return await self._deliver(inbox, seq)

    async def answer(self, room: str = "room") -> str:
        """Return the next message of the bot in the room. Raises AssertionError if there is none."""
        found = self._next(room)
        if found is None:
            raise AssertionError("the bot has said nothing")
        return found

    async def quiet(self, room: str = "room") -> bool:
        """Whether the bot has said nothing more."""
        return self._next(room) is None

    async def passes(self, **time: float) -> None:
        """Let so much time pass (`minutes=10`), and the bot's timers be called on the way."""
        until = self.now + timedelta(**time)
        while (coming := next_due(self.memory, self.now)) and coming.due <= until:
            self.rooms.now = coming.due
            await self._fire_due()
        self.rooms.now = until

    async def again(self, seq: int, room: str = "room") -> None:
        """Have the bot handle an event once more on the state of then, as after a crash before anything was kept."""
        self.memory.load(self._before[room, seq])
        self._start()
        await self._engine.handle(room, EPOCH, self.rooms.logs[room][seq - 1])
        await self._fire_due()

    async def crashes(self) -> None:
        """Kill the bot just before it kept what the last thing it did had changed, and start it again."""
        self.memory.load(self._last)
        await self.restarts()

    async def restarts(self) -> None:
        """Stop the bot and start it again, with what it has kept."""
        self._start()
        for room in list(self.rooms.logs):
            await self._follower.catch_up(room)
        await self._fire_due()

    async def replays(self, number: int = 0) -> None:
        """Have one of the dead letters handled once more, as an operator does."""
        event, handler, _ = self.dead_letters.pop(number)
        await self._engine.repeat(event.room, event.data, handler)
        await self._fire_due()

    def _start(self) -> None:
        self._engine = Engine(self.bot, self.rooms, self.memory, self._dead_letter, lambda: self.now)
        self._follower = Follower(self._engine, self.rooms, self.memory, 0, lambda: False)

    async def _fire_due(self) -> None:
        """Call the timers that are due by now, also those that these set."""
        while found := overdue(self.memory, self.now, 1):
            self._last = self.memory.dump()
            await self._engine.fire(found[0])

    async def _happens(self, command: c.AnyCommand) -> int:
        accepted = await self.rooms.submit(command)
        return await self._deliver(command.room, accepted.seq)

    async def _deliver(self, room: str, seq: int) -> int:
        self._before[room, seq] = self._last = self.memory.dump()
        await self._follower.take(room, EPOCH, [self.rooms.logs[room][seq - 1]])
        await self._fire_due()
        return seq

    def _next(self, room: str) -> str | None:
        log = self.rooms.logs[room]
        while self._read[room] < len(log):
            event = log[self._read[room]]
            self._read[room] += 1
            if event["sender"] == self.bot.user and event["type"] == "message":
                return str(event["text"])
        return None

    async def _dead_letter(self, event: Event, handler: str, reason: str) -> None:
        self.dead_letters.append((event, handler, reason))


def _event(command: c.AnyCommand, now: datetime) -> dict[str, Any]:
    """Return what a command becomes, but for what follows from the state of its room."""
    fields = command.model_dump(mode="json", include={"id", "sender", "name", "key"})
    said = command.becomes.model_construct(**command.content()).model_dump(mode="json", exclude_none=True)
    return {**fields, **said, "type": event_type(command.becomes), "at": rfc3339(now)}


def _by(user: str, room: str) -> c.Common:
    return {"id": new_id(), "room": room, "sender": user, "name": user.title(), "key": new_id()}
