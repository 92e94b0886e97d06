"""Calls the handlers of timers when these are due."""

import asyncio
import contextlib
from datetime import timedelta

from warren.bot.api.state import Memory
from warren.bot.api.timers import Clock, DueTimer, next_due, overdue
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.worker_pool import WorkerPool
from warren.contract.wire import utc_now

NAP = 10.0
"""Seconds until the clock is looked at again, at most: it may be set, or go on while the machine sleeps."""


class Scheduler:
    """Has timers' handlers called when they are due: each in its room, after what is being done there."""

    def __init__(self, engine: Engine, memory: Memory, workers: WorkerPool, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._memory = memory
        self._workers = workers
        self._clock = clock
        self._ringing: set[str] = set()

    async def run(self) -> None:
        """Look after the timers until cancelled."""
        while True:
            self._engine.timers.clear()
            self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._nap()):
                    await self._engine.timers.wait()

    def _look(self) -> None:
        for due in overdue(self._memory, self._clock()):
            if due.id not in self._ringing:
                self._ringing.add(due.id)
                self._workers.put(due.room, lambda due=due: self._ring(due))  # type: ignore[misc]

    async def _ring(self, due: DueTimer) -> None:
        try:
            await self._engine.ring(due)
        finally:
            self._ringing.discard(due.id)

    def _nap(self) -> float:
        now = self._clock()
        coming = next_due(self._memory, now)
        return NAP if coming is None else min(NAP, max(0.0, (coming.due - now) / timedelta(seconds=1)))
