"""Log lines that somebody could cause without end: each is logged once, and then rarely."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

EVERY = 60.0
"""Seconds between two times that the same thing is logged."""
KINDS = 100
"""Things that are told apart; whoever causes more of them at a time makes the oldest forgotten."""
LINES = 100
"""Lines in so many seconds at most, whatever is in them: that may be chosen by who causes them."""


class LogThrottle:
    """Tells when a line is due, to whichever thread. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logged: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        """When each was last logged, and how often it was not since."""
        self._since, self._lines = clock(), 0

    def due(self, what: Hashable) -> int | None:
        """Return how often this was passed over since it was last logged, or None if it is to be passed over now."""
        with self._lock:
            now = self._clock()
            at, passed = self._logged.get(what, (now - EVERY, 0))
            logged = now - at >= EVERY and self._may_log(now)
            self._logged[what] = (now, 0) if logged else (at, passed + 1)
            if len(self._logged) > KINDS:
                self._logged.popitem(last=False)
            return passed if logged else None

    def _may_log(self, now: float) -> bool:
        if now - self._since >= EVERY:
            self._since, self._lines = now, 0
        self._lines += 1
        return self._lines <= LINES
