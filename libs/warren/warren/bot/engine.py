"""Runs a bot's handlers on one event after another: tries again, gives up, and keeps what became of it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warren.bot import metrics
from warren.bot.arguments import Misused
from warren.bot.chat import Chat, Refusal
from warren.bot.event import Event
from warren.bot.log import Position
from warren.bot.routes import Route
from warren.bot.state import Change, Memory
from warren.bot.trigger import Deeds, Message, Trigger
from warren.broker.backoff import backoff
from warren.broker.errors import Unavailable

if TYPE_CHECKING:
    from warren.bot.bot import Bot

log = logging.getLogger(__name__)

Bury = Callable[[Event, str, str], Awaitable[None]]
"""Puts an event among the dead letters: the event, the handler, the reason."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often a handler may try, and how long bots may talk to each other.

    `timeout`: seconds for one try. `tries`: of a handler that raises. `patience`: seconds for which it is tried again
    while broker or database are away, which is not its fault. `chatter`: messages of bots in a row, with nobody else
    in between, after which this one answers no other bot.
    """

    timeout: float = 60.0
    tries: int = 5
    first_wait: float = 0.2
    longest_wait: float = 10.0
    patience: float = 600.0
    chatter: int = 5


class Engine:
    """One bot at work. Events of one room are given to it one at a time, in order."""

    def __init__(self, bot: "Bot", chat: Chat, memory: Memory, bury: Bury) -> None:
        self._bot = bot
        self._chat = chat
        self._memory = memory
        self._bury = bury
        self._chatter: defaultdict[str, int] = defaultdict(int)

    async def handle(self, room: str, epoch: str, data: dict[str, Any]) -> None:
        """Run the handlers for an event, and keep what they changed together with the bot's place in the room."""
        event = Event(room, data)
        self._count(event)
        change = Change(self._memory)
        if event.sender != self._bot.user:
            for route in self._bot.routes.of(event):
                if not self._is_chatter(event):
                    await self._run(route, event, change)
        self._memory.keep(change.changes, room, Position(epoch, event.seq))

    async def repeat(self, room: str, data: dict[str, Any], handler: str) -> None:
        """Run one handler once more for an event that it had given up: an operator has sent it again."""
        event, change = Event(room, data), Change(self._memory)
        for route in self._bot.routes.of(event):
            if route.name == handler:
                await self._run(route, event, change)
        self._memory.keep(change.changes)

    def _count(self, event: Event) -> None:
        if event.type == "message":
            self._chatter[event.room] = self._chatter[event.room] + 1 if event.by_bot else 0

    def _is_chatter(self, event: Event) -> bool:
        return event.by_bot and self._chatter[event.room] > self._bot.policy.chatter

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
                log.error("event given up", extra={**_where(route, event), "reason": reason})
                metrics.GIVEN_UP.labels(route.name).inc()
                await self._bury(event, route.name, reason)
                return
            metrics.RETRIES.labels(route.name).inc()
            await asyncio.sleep(next(waits))

    async def _try(self, route: Route, event: Event, change: Change) -> None:
        kind = Message if event.type == "message" else Trigger
        deeds = Deeds(self._chat, self._bot.user, self._bot.title, event.room, event.seq, route.name, change)
        trigger = kind(event.room, event.data, deeds)
        async with asyncio.timeout(self._bot.policy.timeout):
            with metrics.SECONDS.labels(route.name).time():
                await _call(route, trigger)


async def _call(route: Route, trigger: Trigger) -> None:
    try:
        arguments = route.arguments(trigger)
    except Misused as misuse:
        await trigger.reply(str(misuse))
    else:
        await route.handler(trigger, **arguments)


def _where(route: Route, event: Event) -> dict[str, Any]:
    return {"handler": route.name, "room": event.room, "seq": event.seq}
