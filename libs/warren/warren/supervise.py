"""What becomes of an exception that nobody foresaw: it is logged, counted, and ends no more than it must.

A connection that fails is closed and comes back, a room that fails is read anew, and a task that the whole process
depends on ends the process. What must never be is a part that is dead while health says that all is well.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, Literal, get_args

from prometheus_client import Counter

from warren.throttle import LogThrottle

log = logging.getLogger(__name__)

What = Literal[
    "acknowledgement", "answer", "command", "commands", "commit", "connection", "events", "join", "knock", "landing",
    "message", "notice", "projections", "query", "request", "room", "shard", "store",
]  # fmt: skip
"""What may fail. docs/configuration.md says what becomes of each."""
FAILURES = Counter("warren_failures_total", "Exceptions that nobody foresaw, by what failed.", ["what"])
for _what in get_args(What):  # Prometheus counts no increase from nothing to one, and an alert looks at these
    FAILURES.labels(_what)
_throttle = LogThrottle()


def failed(what: What, error: BaseException, **where: object) -> None:
    """Count and log an exception that nobody foresaw. `what`, one of few, failed; `where` goes into the log alone."""
    FAILURES.labels(what).inc()
    passed = _throttle.due((what, type(error)))  # whoever can cause one must not be able to fill the log
    if passed is not None:
        log.error("%s failed", what, extra={**where, "passed_over": passed}, exc_info=error)


@contextmanager
def contained(what: What, otherwise: Callable[[], object] | None = None, **where: object) -> Iterator[None]:
    """Let an exception end what is inside and nothing else; then call `otherwise`."""
    try:
        yield
    except Exception as error:
        failed(what, error, **where)
        if otherwise is not None:
            otherwise()


class Tasks:
    """The tasks of one owner, who is told when one of them has failed. It holds them until they are done."""

    def __init__(self, what: What, otherwise: Callable[[], object] | None = None) -> None:
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

    @property
    def running(self) -> AbstractSet[asyncio.Task[None]]:
        """Those that are not done."""
        return self._running

    async def done(self) -> None:
        """Wait until all that are running now have ended."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        with contained(self._what, self._otherwise):
            await work


def retrieve(future: asyncio.Future[Any]) -> None:
    """Take note of how something ended that nobody may wait for, or asyncio says that nobody did."""
    if not future.cancelled():
        future.exception()


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
