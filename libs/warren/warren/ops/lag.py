"""How long the event loop keeps everybody waiting."""

import asyncio
import time

from prometheus_client import Histogram

CHECK_EVERY = 0.02
"""Seconds between two looks: what is measured is too short by this at most."""
IDLE_CHECK_EVERY = 0.1
"""The same while the loop has next to nothing to do. To look is most of what an idle process does, so it does it less
often: only what ends such a time is measured with less care, and then as what it is again."""
IDLE_AFTER = 1.0
"""Seconds for which the loop has next to nothing to do before it is looked at less often."""
IDLE_SHARE, BUSY_SHARE = 0.025, 0.1
"""Of a processor: next to nothing, which is more than services do by themselves, and too much, between two looks, for
an idle loop."""
LAG = Histogram(
    "warren_event_loop_lag_seconds",
    "Seconds of its own processor time by which the event loop was late for a timer: nobody was served meanwhile.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


class LagProbe:
    """Measures the event loop that it is started in.

    A machine that is busy with something else makes timers late, too; the thread's processor time tells that apart.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._spent = 0.0
        self._idle = False
        self._window = 0.0, 0.0
        """When the second began of which it is found out whether the loop was idle, and the time spent until then."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure from now on."""
        self._window = time.monotonic(), time.thread_time()
        self._wait(*self._window)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, now: float, spent: float) -> None:
        every = IDLE_CHECK_EVERY if self._idle else CHECK_EVERY
        self._due, self._spent = now + every, spent
        self._timer = asyncio.get_running_loop().call_later(every, self._measure)

    def _measure(self) -> None:
        now, spent = time.monotonic(), time.thread_time()
        worked = spent - self._spent
        LAG.observe(max(0.0, min(now - self._due, worked)))
        began, before = self._window
        if self._idle and worked > BUSY_SHARE * IDLE_CHECK_EVERY:
            self._idle, self._window = False, (now, spent)
        elif now - began >= IDLE_AFTER:
            self._idle, self._window = spent - before <= IDLE_SHARE * (now - began), (now, spent)
        self._wait(now, spent)
