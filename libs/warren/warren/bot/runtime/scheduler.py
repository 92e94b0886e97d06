"""Calls the handlers of timers when these are due."""

import asyncio
import contextlib
from datetime import timedelta

from warren.bot.api.state import Memory
from warren.bot.api.timers import Clock, DueTimer, next_due, overdue
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.worker_pool import WorkerPool
from warren.contract.wire import utc_now

MAX_SLEEP = 10.0
"""Seconds until the clock is looked at again, at most: it may be set, or go on while the machine sleeps."""


class Scheduler:
    """Has timers' handlers called when they are due: each in its room, after what is being done there."""

    def __init__(self, engine: Engine, memory: Memory, workers: WorkerPool, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._memory = memory
        self._workers = workers
        self._clock = clock
        self._firing: set[str] = set()

    async def run(self) -> None:
        """Look after the timers until cancelled."""
        while True:
            self._engine.timers.clear()
            self._start_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._engine.timers.wait()

    def _start_due(self) -> None:
        for due in overdue(self._memory, self._clock()):
            if due.id not in self._firing:
                self._firing.add(due.id)
                self._workers.submit(due.room, lambda due=due: self._fire_due(due))  # type: ignore[misc]

    async def _fire_due(self, due: DueTimer) -> None:
        try:
            await self._engine.fire(due)
        finally:
            self._firing.discard(due.id)

    def _seconds_to_next(self) -> float:
        now = self._clock()
        coming = next_due(self._memory, now)
        return MAX_SLEEP if coming is None else min(MAX_SLEEP, max(0.0, (coming.due - now) / timedelta(seconds=1)))
