"""Follows rooms: gives the engine each event once and in order, and reads from the store what did not come."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from warren.bot import metrics
from warren.bot.api.chat import Chat, Refusal
from warren.bot.api.position import Gap, Position
from warren.bot.api.state import Memory
from warren.bot.runtime.engine import Engine
from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable

log = logging.getLogger(__name__)

READ_CAP = 5.0
"""Seconds between tries to read the log while broker or database are away, at most."""


class Follower:
    """Where the bot is in each room, and how it gets on. `since`: where it begins in a room that is new to it."""

    def __init__(
        self, engine: Engine, chat: Chat, memory: Memory, since: int | None, stopping: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._chat = chat
        self._memory = memory
        self._since = since
        self._stopping = stopping

    async def take(self, room: str, epoch: str, events: list[dict[str, Any]]) -> bool:
        """Handle events that came; return whether all of them are done with (if not, the process is stopping)."""
        while not self._stopping():
            try:
                fresh = self._position(room).fresh(epoch, events)
            except Gap as gap:
                await self._fill(room, gap.after, events[0]["seq"], epoch)
            else:
                return await self._handle(room, epoch, fresh)
        return False

    async def catch_up(self, room: str) -> bool:
        """Handle what happened while the bot was away; return whether that is done."""
        while (position := self._position(room)).seq is not None:
            page = await self._read(room, position.seq)
            if page is None or page.head <= position.seq:
                return True
            if position.epoch not in (None, page.epoch):
                log.warning("the room's log is another than before", extra={"room": room, "epoch": page.epoch})
                self._memory.keep({}, room, Position(page.epoch, page.head))
                return True
            metrics.CAUGHT_UP.inc(len(page.events))
            if not await self._handle(room, page.epoch, page.events):
                return False
        return True

    def behind(self, heads: Mapping[str, int]) -> list[str]:
        """Return the rooms in which the bot has not come to these heads."""
        return [room for room, head in heads.items() if (seq := self._position(room).seq) is not None and seq < head]

    def _position(self, room: str) -> Position:
        found = self._memory.position(room)
        return Position(None, self._since) if found.seq is None else found

    async def _handle(self, room: str, epoch: str, events: list[dict[str, Any]]) -> bool:
        for event in events:
            if self._stopping():
                return False
            await self._engine.handle(room, epoch, event)
        return True

    async def _fill(self, room: str, after: int, upto: int, epoch: str) -> None:
        """Handle what is missing before `upto`; what cannot be read (any more) is passed over."""
        page = await self._read(room, after)
        if page is None and self._stopping():
            return  # it could not be read in time, which is no reason to pass over it for ever
        events = [event for event in page.events if event["seq"] < upto] if page is not None else []
        if not events:
            log.warning("events passed over", extra={"room": room, "after": after, "before": upto})
            self._memory.keep({}, room, Position(epoch, upto - 1))
        else:
            metrics.CAUGHT_UP.inc(len(events))
            await self._handle(room, epoch, events)

    async def _read(self, room: str, after: int) -> Any:
        """Return what follows in the log, waiting while it cannot be read; None if the bot may not."""
        for wait in backoff(cap=READ_CAP):
            try:
                return await self._chat.read(room, after)
            except Refusal as refusal:
                log.info("log not read", extra={"room": room, "reason": str(refusal)})
                return None
            except Unavailable as error:
                log.warning("log not read", extra={"room": room, "error": str(error)})
                if self._stopping():
                    return None
                await pause(wait)
        raise AssertionError("backoff ends never")
