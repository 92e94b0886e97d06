"""What becomes of an exception that nobody foresaw: it is logged, counted, and ends no more than it must.

A connection that fails is closed and comes back, a room that fails is read anew, and a task that the whole process
depends on ends the process. What must never be is a part that is dead while health says that all is well.
"""

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter

from warren.rates import Buckets, Rate

log = logging.getLogger(__name__)

FAILURES = Counter("warren_failures_total", "Exceptions that nobody foresaw, by what failed.", ["what"])
LINES = Rate(1 / 60, 10)
"""In the log, of each kind of failure: whoever can cause one must not be able to fill it."""


class Rarely:
    """Lets lines of a kind, one of few, into the log some times and then once in a while."""

    def __init__(self, rate: Rate = LINES, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(rate)
        self._clock = clock
        self._left_out: Tally[str] = Tally()

    def left_out(self, kind: str) -> int | None:
        """Return how many were left out since the last one; None if this one is, too."""
        if self._buckets.take(kind, self._clock()):
            self._left_out[kind] += 1
            return None
        return self._left_out.pop(kind, 0)

    def warn(self, logger: logging.Logger, kind: str, message: str, **extra: object) -> None:
        """Log a warning of this kind, unless there were too many; `left_out` in it says how many were."""
        left_out = self.left_out(kind)
        if left_out is not None:
            logger.warning(message, extra={**extra, "left_out": left_out})


_tracebacks = Rarely()


def failed(what: str, error: BaseException, **where: object) -> None:
    """Count and log an exception that nobody foresaw. `what`, one of few, failed; `where` goes into the log alone."""
    FAILURES.labels(what).inc()
    left_out = _tracebacks.left_out(f"{what}/{type(error).__name__}")
    if left_out is not None:
        log.error("%s failed", what, extra={**where, "left_out": left_out}, exc_info=error)


@contextmanager
def contained(what: str, otherwise: Callable[[], object] | None = None, **where: object) -> Iterator[None]:
    """Let an exception end what is inside and nothing else; then call `otherwise`."""
    try:
        yield
    except Exception as error:
        failed(what, error, **where)
        if otherwise is not None:
            otherwise()


class Tasks:
    """The tasks of one owner, who is told when one of them has failed. It holds them until they are done."""

    def __init__(self, what: str, otherwise: Callable[[], object] | None = None) -> None:
        self._what = what
        self._otherwise = otherwise
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run this."""
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began knows nothing of it
        return task

    def cancel(self) -> None:
        """End them all."""
        for task in self._running:
            task.cancel()

    async def done(self) -> None:
        """Wait until all that are running now have ended."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        with contained(self._what, self._otherwise):
            await work


class EndedError(Exception):
    """Work that must not end by itself has."""


async def endless(work: Coroutine[Any, Any, object]) -> None:
    """Do work that must not end by itself. Raises EndedError if it does, also by a cancellation that nobody asked for.

    Libraries cancel what waits for a connection that they lose, and a group of tasks goes on without one that was
    cancelled, as if it had been told to end it.
    """
    try:
        await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise EndedError(f"cancelled by nobody: {work!r}") from error
    raise EndedError(f"has ended: {work!r}")
