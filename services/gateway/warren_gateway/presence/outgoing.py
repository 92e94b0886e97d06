"""What presence publishes: announcements, heartbeats and who is typing; what is to be announced comes in, messages go
out."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractConnection
from pydantic import BaseModel
from warren.broker.errors import Unavailable
from warren.broker.publisher import Publisher
from warren.contract import presence as p
from warren.contract.topology import CONTROL, LIVE, PRESENCE, event_key, shard_key
from warren.rates import Buckets, Rate

from warren_gateway import metrics
from warren_gateway.presence.announcer import PresenceAnnouncer

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds for which joins and leaves gather."""
GOODBYE_WITHIN = 2.0
TYPING = Rate(4, 8)
"""In one room, by way of this gateway: enough for 24 people who type all the time, since each says so every 3 s or
more and it holds for 6."""


class PresencePublisher:
    """Publishes what an announcer has to announce, whenever `changed` was called."""

    def __init__(self, announcer: PresenceAnnouncer) -> None:
        self._announcer = announcer
        self._publisher = Publisher(confirm=False)
        self._typing = Buckets(TYPING)
        self._work = asyncio.Event()

    async def serve(self, connection: AbstractConnection) -> None:
        """Publish on this connection until it goes away."""
        await self._publisher.serve(connection)

    def changed(self) -> None:
        """Have announced soon what is to be announced."""
        self._work.set()

    async def run(self, bind: Callable[[], Awaitable[None]]) -> None:
        """Announce until cancelled; `bind` takes in what is asked for, before it is."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self.announce(bind)
            await asyncio.sleep(TICK)

    async def announce(self, bind: Callable[[], Awaitable[None]]) -> None:
        """Announce what has changed, and ask, once what is asked for can come."""
        with contextlib.suppress(Unavailable):
            await bind()
        messages = self._announcer.announcements(time.monotonic())
        await asyncio.gather(*(self._announce(message) for message in messages))

    async def beat(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            heartbeat = p.Heartbeat(gateway=self._announcer.gateway, seqs=self._announcer.seqs)
            await self._publish(CONTROL, "", heartbeat)
            await asyncio.sleep(p.HEARTBEAT)

    async def goodbye(self, bind: Callable[[], Awaitable[None]]) -> None:
        """Announce that everybody has gone, and this gateway too, within a bound."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN):
                await self.announce(bind)
                await self._publish(CONTROL, "", p.Goodbye(gateway=self._announcer.gateway))

    async def typing(self, room: str, user: str, name: str) -> None:
        """Publish that somebody is typing, unless there is too much of that."""
        if not self._typing.take(room, time.monotonic()):
            await self._publish(LIVE, event_key(room), p.IsTyping(room=room, user=user, name=name))

    async def _announce(self, message: p.Announcement) -> None:
        metrics.ANNOUNCED.inc(len(message.changes))
        if not await self._publish(PRESENCE, shard_key(message.shard), message):
            self._announcer.resync(message.shard)
            self.changed()

    async def _publish(self, exchange: str, key: str, message: BaseModel) -> bool:
        """Publish; return whether it is on its way."""
        try:
            await self._publisher.publish(exchange, key, message.model_dump_json(exclude_none=True).encode())
        except Unavailable as error:
            log.warning("not announced", extra={"exchange": exchange, "error": str(error)})
            return False
        return True
