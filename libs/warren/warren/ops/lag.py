"""How long the event loop keeps everybody waiting."""

import asyncio
import time

from prometheus_client import Histogram

CHECK_EVERY = 0.02
"""Seconds between two looks: what is measured is too short by this at most."""
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
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure from now on."""
        self._due, self._spent = time.monotonic() + CHECK_EVERY, time.thread_time()
        self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY, self._measure)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _measure(self) -> None:
        late, worked = time.monotonic() - self._due, time.thread_time() - self._spent
        LAG.observe(max(0.0, min(late, worked)))
        self.start()
