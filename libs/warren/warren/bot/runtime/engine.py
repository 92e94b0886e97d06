"""Runs a bot's handlers on one event after another: tries again, gives up, and keeps what became of it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from warren.bot import metrics
from warren.bot.api.arguments import Misused
from warren.bot.api.chat import Chat, Refusal
from warren.bot.api.definition import Definition
from warren.bot.api.event import Event
from warren.bot.api.position import Position
from warren.bot.api.routes import Route
from warren.bot.api.state import GONE, Change, Memory
from warren.bot.api.timers import PREFIX, Clock, DueTimer, key_of
from warren.bot.api.trigger import INVITED, ActionContext, Invitation, Message, Timer, Trigger
from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.contract.wire import utc_now

log = logging.getLogger(__name__)

DeadLetterSink = Callable[[Event, str, str], Awaitable[None]]
"""Puts an event among the dead letters: the event, the handler, the reason."""


class Engine:
    """One bot at work. Events of one room are given to it one at a time, in order."""

    def __init__(
        self, bot: Definition, chat: Chat, memory: Memory, dead_letter: DeadLetterSink, clock: Clock = utc_now
    ) -> None:
        self._bot = bot
        self._chat = chat
        self._memory = memory
        self._dead_letter = dead_letter
        self._clock = clock
        self._bot_messages_in_a_row: defaultdict[str, int] = defaultdict(int)
        self.timers = asyncio.Event()
        """Set whenever timers were set or are done with."""
        for route in bot.routes.found:  # Prometheus counts no increase from nothing to one
            metrics.GIVEN_UP.labels(route.name)

    async def handle(self, room: str, epoch: str, data: dict[str, Any]) -> None:
        """Run the handlers for an event, and keep what they changed together with the bot's place in the room."""
        event = Event(room, data)
        self._count(event)
        change = Change(self._memory)
        answered = event.sender != self._bot.user and not self._exceeds_bot_limit(event)
        for route in self._bot.routes.of(event):
            if answered or route.record:
                await self._run(route, event, change)
        self._keep(change, room, Position(epoch, event.seq))

    async def fire(self, due: DueTimer) -> None:
        """Call a timer's handler, unless somebody has cancelled it, and forget it together with keeping the changes."""
        change = Change(self._memory)
        if change.lookup(key_of(due.id)) is GONE:
            return
        await self._call_timer(due, change)
        change.delete(key_of(due.id))
        self._keep(change)

    async def repeat(self, room: str, data: dict[str, Any], handler: str) -> None:
        """Run one handler once more for an event that it had given up: an operator has sent it again."""
        event, change = Event(room, data), Change(self._memory)
        if due := DueTimer.from_dead_letter(room, handler, data):
            await self._call_timer(due, change)
        for route in self._bot.routes.of(event):
            if route.name == handler and due is None:
                await self._run(route, event, change)
        self._keep(change)

    def _keep(self, change: Change, room: str | None = None, position: Position | None = None) -> None:
        self._memory.keep(change.changes, room, position)
        if any(key.startswith(PREFIX) for key in change.changes):
            self.timers.set()

    async def _call_timer(self, due: DueTimer, change: Change) -> None:
        if route := self._bot.timers.named(due.handler):
            await self._run(route, due, change)
        else:
            await self._give_up(due, due.handler, "there is no timer handler of this name")

    def _count(self, event: Event) -> None:
        if event.type == "message":
            self._bot_messages_in_a_row[event.room] = self._bot_messages_in_a_row[event.room] + 1 if event.by_bot else 0

    def _exceeds_bot_limit(self, event: Event) -> bool:
        return event.by_bot and self._bot_messages_in_a_row[event.room] > self._bot.policy.chatter

    async def _run(self, route: Route, event: Event, change: Change) -> None:
        """Run a handler until it succeeds or has failed too often; what it changed counts only if it succeeds."""
        policy = self._bot.policy
        waits = backoff(policy.first_wait, policy.longest_wait)
        started, tries = asyncio.get_running_loop().time(), 0
        while True:
            own = Change(change)
            try:
                await self._try(route, event, own)
            except Unavailable as error:
                reason, final = str(error), asyncio.get_running_loop().time() - started > policy.patience
            except Refusal as refusal:
                reason, final = str(refusal), True
            except TimeoutError:
                reason, tries = f"took longer than {policy.timeout} s", tries + 1
                final = tries >= policy.tries
            except Exception as error:
                log.warning("handler failed", extra=_where(route, event), exc_info=True)
                reason, tries = repr(error), tries + 1
                final = tries >= policy.tries
            else:
                change.changes.update(own.changes)
                metrics.HANDLED.labels(route.name).inc()
                return
            if final:
                await self._give_up(event, route.name, reason)
                return
            metrics.RETRIES.labels(route.name).inc()
            await pause(next(waits))

    async def _give_up(self, event: Event, handler: str, reason: str) -> None:
        """Put an event among the dead letters; a timer with what it takes to ring it again."""
        where = {"handler": handler, "room": event.room, "seq": event.seq}
        log.error("event given up", extra={**where, "reason": reason})
        metrics.GIVEN_UP.labels(handler).inc()
        await self._dead_letter(event.to_dead_letter() if isinstance(event, DueTimer) else event, handler, reason)

    async def _try(self, route: Route, event: Event, change: Change) -> None:
        trigger = self._trigger(route, event, change)
        async with asyncio.timeout(self._bot.policy.timeout):
            with metrics.SECONDS.labels(route.name).time():
                await _call(route, trigger)

    def _trigger(self, route: Route, event: Event, change: Change) -> Trigger:
        origin = event.id if isinstance(event, DueTimer) else f"{event.room}/{event.seq}/{route.name}"
        actions = ActionContext(
            self._chat, self._bot.user, self._bot.title, event.room, event.seq, origin, change, self._clock,
            lambda reason, about: self._give_up(about or event, route.name, reason),
        )  # fmt: skip
        if isinstance(event, DueTimer):
            return Timer(event.room, event.data, actions, event.due, event.given)
        return _kind(event)(event.room, event.data, actions)


async def _call(route: Route, trigger: Trigger) -> None:
    try:
        arguments = route.arguments(trigger)
    except Misused as misuse:
        await trigger.reply(str(misuse))
    else:
        await route.handler(trigger, **arguments)


def _kind(event: Event) -> type[Trigger]:
    if event.type == "message":
        return Message
    return Invitation if event.data.get("what") == INVITED else Trigger


def _where(route: Route, event: Event) -> dict[str, Any]:
    return {"handler": route.name, "room": event.room, "seq": event.seq}
