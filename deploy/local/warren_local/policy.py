"""When a process that died is started again. Pure: the time is a parameter."""

from dataclasses import dataclass, replace

FIRST_DELAY = 1.0
"""Seconds before the second restart in a row; each further one waits twice as long."""
LONGEST_DELAY = 30.0
"""Seconds at most between two restarts: a service that cannot start costs little, and one that can is soon back."""
STABLE = 60.0
"""Seconds a process must have lived for its earlier deaths to be forgotten: twice the longest delay."""


@dataclass(frozen=True)
class History:
    """How often a process died in a row, and when it was last started (monotonic seconds)."""

    started: float
    failures: int = 0

    def died(self, now: float) -> "History":
        """The history after a death."""
        return replace(self, failures=1 if now - self.started >= STABLE else self.failures + 1)

    def restarted(self, now: float) -> "History":
        """The history after a restart."""
        return replace(self, started=now)

    @property
    def delay(self) -> float:
        """Seconds to wait before the next start: none after a first death, then 1, 2, 4 ... 30."""
        if self.failures <= 1:
            return 0.0
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self.failures - 2, 10))
