"""Log lines that whoever is refused could cause without end: each is said once, and then rarely."""

from collections import OrderedDict
from collections.abc import Hashable

from warren.rates import Bucket

EVERY = 60.0
"""Seconds between two times that the same thing is said."""
KINDS = 100
"""Things that are told apart; whoever refuses more of them at a time forgets the oldest."""
LINES, LINES_A_SECOND = 10.0, 1 / 6
"""Lines at once and in the long run, whatever is in them: what is refused may be chosen by who is refused."""


class LogThrottle:
    """Tells when a line is due. The clock is a parameter: monotonic seconds."""

    def __init__(self) -> None:
        self._said: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        """When each was last said, and how often it was not since."""
        self._lines: Bucket | None = None

    def due(self, what: Hashable, now: float) -> int | None:
        """Return how often this was passed over since it was last said, or None if it is to be passed over now."""
        at, passed = self._said.get(what, (now - EVERY, 0))
        self._lines = self._lines or Bucket.full(LINES_A_SECOND, LINES, now)
        said = now - at >= EVERY and self._lines.take(now)
        self._said[what] = (now, 0) if said else (at, passed + 1)
        if len(self._said) > KINDS:
            self._said.popitem(last=False)
        return passed if said else None
