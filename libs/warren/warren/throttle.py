"""Log lines that somebody could cause without end: each is logged once, and then rarely."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from warren.rates import Bucket

EVERY = 60.0
"""Seconds between two times that the same thing is logged."""
KINDS = 100
"""Things that are told apart; whoever causes more of them at a time makes the oldest forgotten."""
LINES, LINES_A_SECOND = 10.0, 1 / 6
"""Lines at once and in the long run, whatever is in them: that may be chosen by who causes them."""


class LogThrottle:
    """Tells when a line is due. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        """When each was last logged, and how often it was not since."""
        self._lines = Bucket.full(LINES_A_SECOND, LINES, clock())

    def due(self, what: Hashable) -> int | None:
        """Return how often this was passed over since it was last logged, or None if it is to be passed over now."""
        now = self._clock()
        at, passed = self._logged.get(what, (now - EVERY, 0))
        logged = now - at >= EVERY and self._lines.take(now)
        self._logged[what] = (now, 0) if logged else (at, passed + 1)
        if len(self._logged) > KINDS:
            self._logged.popitem(last=False)
        return passed if logged else None

    def warn(self, logger: logging.Logger, what: Hashable, message: str, **extra: object) -> None:
        """Log a warning if this is due; `passed_over` in it says how often it was not."""
        passed = self.due(what)
        if passed is not None:
            logger.warning(message, extra={**extra, "passed_over": passed})
