"""What happened, with what a bot can do about it: answer, say, type, act. All of it is idempotent by the trigger."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from warren.bot.api.chat import Chat, LogPage, Refusal
from warren.bot.api.event import Event
from warren.bot.api.state import GONE, Change, State
from warren.bot.api.timers import Clock, DueTimer, key_of, timer_id, value_of
from warren.contract import commands as c
from warren.contract.codes import Code
from warren.contract.ids import TEXT_LIMIT, new_id
from warren.contract.presence import IsTyping, Partial

INVITED = "member.invited"
"""What the notice of an invitation says that happened."""
PARTS_EVERY = 0.25
"""Seconds between two parts of a reply that is shown as it grows: no reader sees more than that."""


@dataclass(slots=True)
class ActionContext:
    """What one handler does about one event. The key of an action follows from `origin` and how many came before.

    `origin`: the event and the handler, or the timer. So a handler that is run again, after a crash or a failure, says
    again what it said, and nothing is stored twice.
    """

    chat: Chat
    user: str
    name: str
    room: str
    seq: int
    origin: str
    change: Change
    clock: Clock
    dead_letter: Callable[[str, Event | None], Awaitable[None]]
    count: int = 0
    timers: int = 0

    def common(self, room: str) -> c.Common:
        """Return the fields of the next command."""
        self.count += 1
        identity = f"{self.origin}/{self.count}"
        key = f"{self.seq}.{self.count}.{sha256(identity.encode()).hexdigest()[:24]}"
        return {"id": new_id(), "room": room, "sender": self.user, "name": self.name, "key": key}


@dataclass(frozen=True, slots=True)
class Trigger(Event):
    """An event that a handler is called with."""

    actions: ActionContext = field(repr=False, compare=False)

    @property
    def state(self) -> State:
        """Return what the bot remembers; it is kept when the handler has succeeded, together with where the bot is."""
        return self.actions.change

    @property
    def now(self) -> datetime:
        """Return what time it is; `at` is when the event was stored, and the same whenever it is handled again."""
        return self.actions.clock()

    async def reply(self, text: str) -> int:
        """Answer the event in its room, and return the seq. Raises Refusal."""
        return await self._send(self.room, text, self.seq if self.type == "message" else None)

    async def send(self, text: str, room: str | None = None) -> int:
        """Say something, here or in another room, and return the seq. Raises Refusal."""
        return await self._send(room or self.room, text, None)

    async def typing(self) -> None:
        """Show that the bot is typing, for some seconds."""
        await self.actions.chat.show(IsTyping(room=self.room, user=self.actions.user, name=self.actions.name))

    async def do(self, command: type[c.AnyCommand], room: str | None = None, **fields: Any) -> int:
        """Have something else done (`warren.contract.commands`), and return the seq. Raises Refusal."""
        accepted = await self.actions.chat.submit(command(**self.actions.common(room or self.room), **fields))
        return accepted.seq

    def later(self, due: datetime, handler: Callable[..., Any], given: Any = None) -> str:
        """Have a `@bot.timer` called at this time, about this event, and return the timer's id.

        It is kept as state is: with the handler's success, and beyond the end of the process. What was due while the
        bot was away is done when it is back. `given` (JSON) comes to it as `timer.given`.
        """
        actions = self.actions
        actions.timers += 1
        timer = timer_id(due, f"{actions.origin}/timer/{actions.timers}")
        found = DueTimer(self.room, self.data, timer, handler.__name__, given)
        actions.change.set(key_of(timer), value_of(found))
        return timer

    def cancel(self, timer: str) -> bool:
        """Forget a timer; return whether there was one, not done yet."""
        there = self.pending(timer)
        self.actions.change.delete(key_of(timer))
        return there

    def pending(self, timer: str) -> bool:
        """Whether there is such a timer, not done yet."""
        return self.actions.change.lookup(key_of(timer)) is not GONE

    async def give_up(self, reason: str, about: Event | None = None) -> None:
        """Put the event, or another one, among the bot's dead letters: the operator can have it handled again."""
        await self.actions.dead_letter(reason, about)

    async def read(self, after: int, limit: int = 500) -> LogPage:
        """Read the room's log after a seq, 500 events at most. Raises Refusal or Unavailable."""
        return await self.actions.chat.read(self.room, after, limit)

    async def before(self, count: int) -> list[Event]:
        """Return the messages before this event, oldest first: so many at most, and of the last 500 events alone."""
        page = await self.read(max(0, self.seq - 501))
        events = [Event(self.room, data) for data in page.events if data["seq"] < self.seq]
        return [event for event in events if event.type == "message"][-count:] if count else []

    @asynccontextmanager
    async def stream(self) -> AsyncIterator["Stream"]:
        """Answer bit by bit: what is written is shown as it grows and not stored; in the end it is one message."""
        stream = Stream(self)
        yield stream
        await stream.finish()

    async def _send(self, room: str, text: str, reply_to: int | None) -> int:
        common = self.actions.common(room)
        return (await self.actions.chat.submit(c.Send(**common, text=text, reply_to=reply_to))).seq


@dataclass(frozen=True, slots=True)
class Message(Trigger):
    """Somebody said something."""

    @property
    def number(self) -> int:
        """Return its place among the room's messages."""
        return int(self.data["number"])

    @property
    def reply_to(self) -> int | None:
        """Return the seq of the message that it answers."""
        found = self.data.get("reply_to")
        return None if found is None else int(found)

    async def answered(self) -> Event | None:
        """Return the message that it answers, if it answers any. Raises Refusal or Unavailable."""
        if self.reply_to is None:
            return None
        events = (await self.read(self.reply_to - 1, 1)).events
        return Event(self.room, events[0]) if events else None


@dataclass(frozen=True, slots=True)
class Invitation(Trigger):
    """Somebody (`sender`, `name`) has invited the bot into a room."""

    @property
    def of_room(self) -> str:
        """Return the room into which it is invited; `room` is the bot's inbox, in which it is told."""
        return str(self.data["of_room"])

    @property
    def kind(self) -> str:
        """Return the room's kind: `public` or `private`."""
        return str(self.data["kind"])

    @property
    def title(self) -> str:
        """Return the room's title."""
        return str(self.data["title"])

    async def accept(self) -> bool:
        """Become a member, and hear what happens there from then on; return False if one may not any more."""
        try:
            await self.do(c.Join, self.of_room)
        except Refusal as refusal:
            if refusal.code not in (Code.EXISTS, Code.NOT_FOUND, Code.FORBIDDEN):
                raise
            return refusal.code == Code.EXISTS
        return True


@dataclass(frozen=True, slots=True)
class Timer(Trigger):
    """A timer is due: the event about which it was set, and what was `given` then. `due`: when it was to be."""

    due: datetime
    given: Any


class Stream:
    """A reply that grows."""

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self._common = trigger.actions.common(trigger.room)
        self._text = ""
        self._shown = 0.0

    @property
    def full(self) -> bool:
        """Whether the message is as long as messages may be."""
        return len(self._text) >= TEXT_LIMIT

    async def write(self, text: str) -> None:
        """Add to the reply; beyond the length of a message nothing is added."""
        self._text = (self._text + text)[:TEXT_LIMIT]
        now = time.monotonic()
        if now - self._shown >= PARTS_EVERY and self._text.strip():
            self._shown = now
            await self._show()
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Store it. Nothing written is nothing said."""
        if self._text.strip():
            reply_to = self._trigger.seq if self._trigger.type == "message" else None
            await self._trigger.actions.chat.submit(c.Send(**self._common, text=self._text, reply_to=reply_to))

    async def _show(self) -> None:
        actions, key = self._trigger.actions, self._common["key"]
        frame = Partial(room=self._trigger.room, user=actions.user, name=actions.name, key=key, text=self._text)
        await actions.chat.show(frame)
