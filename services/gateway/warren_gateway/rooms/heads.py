"""Compares what replicas have with what the store has: that finds a lost tail, which has no successor to show it."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.queries import RANGE_LIMIT, Head, Heads, HeadsAnswer

from warren_gateway.rooms.room import Room

log = logging.getLogger(__name__)

COMPARE_AFTER = 0.2
"""Seconds, about, between two comparisons of what is doubtful, however many messages make no sense."""


class HeadComparison:
    """Asks the store for the heads of doubtful rooms; `compare` is called with each room, its epoch and its head."""

    def __init__(self, rpc: RpcClient, rooms: Mapping[str, Room], compare: Callable[[Room, str, Head], None]) -> None:
        self._rpc = rpc
        self._rooms = rooms
        self._compare = compare
        self._doubtful: dict[str, None] = {}
        self._doubts = asyncio.Event()

    def doubt(self, name: str) -> None:
        """Have a room's head compared with the store's."""
        if name in self._rooms:
            self._doubtful[name] = None
            self._doubts.set()

    def doubt_all(self) -> None:
        """Have all heads compared with the store's."""
        self._doubtful = dict.fromkeys(self._rooms)
        self._doubts.set()

    def forget(self, name: str) -> None:
        """The room is followed no more."""
        self._doubtful.pop(name, None)

    async def run(self, every: float, sweep: Callable[[], Awaitable[None]]) -> None:
        """Compare all heads every so many seconds, after a sweep, and what is doubtful at once; until cancelled."""
        clock = asyncio.get_running_loop().time
        waits, due = backoff(), clock() + every
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - clock()):
                    await self._doubts.wait()
            if clock() >= due:
                due = clock() + every
                await sweep()
                self.doubt_all()
            try:
                await self.compare_doubtful()
                waits = backoff(COMPARE_AFTER)
            except (Unavailable, QueryDenied) as error:
                # Soon again: after a reconnect the reply queue may come back later than the events.
                log.warning("heads not compared", extra={"error": str(error)})
            await pause(next(waits))

    async def compare_doubtful(self) -> None:
        """Compare the heads that are to be compared. Raises QueryDenied or Unavailable: then the rest is, still."""
        while self._doubtful:
            names = list(itertools.islice(self._doubtful, RANGE_LIMIT))
            answer = await self._rpc.ask(Heads(rooms=names), HeadsAnswer)
            for name in names:
                self._doubtful.pop(name, None)
                room, head = self._rooms.get(name), answer.heads.get(name)
                if room is not None and room.replica.head is not None and head is not None:
                    self._compare(room, answer.epoch, head)
        self._doubts.clear()
