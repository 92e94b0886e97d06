"""Time as far as this process was there to see it."""

JUMP = 1.0
"""Seconds between two looks after which the process must have been halted."""
STEP = 0.05
"""Seconds that such a halt counts for."""


class Clock:
    """A monotonic clock that stands still while the process is halted: nobody was silent who could not be heard."""

    def __init__(self, monotonic: float) -> None:
        self._last = monotonic
        self.now = 0.0
        """Seconds."""

    def advance(self, monotonic: float) -> None:
        """Take a look at the system's clock."""
        passed = monotonic - self._last
        self._last = monotonic
        self.now += passed if passed <= JUMP else STEP
