"""Where a bot stands in each room's log: what comes is taken once and in order, and a gap is noticed. No I/O."""

from dataclasses import dataclass
from typing import Any


class Gap(Exception):
    """Events before these are missing: read the log after `after` first."""

    def __init__(self, after: int) -> None:
        super().__init__(f"events after {after} are missing")
        self.after = after


@dataclass(slots=True)
class Position:
    """The last event of a room that was handled; None before the first."""

    epoch: str | None = None
    seq: int | None = None

    def fresh(self, epoch: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return those events that come next. Raises Gap if some before them are missing.

        Another epoch is another log (a database was restored): what comes of it is taken from where it begins.
        """
        if self.seq is None or self.epoch not in (None, epoch):
            return events
        found = [event for event in events if event["seq"] > self.seq]
        if found and found[0]["seq"] > self.seq + 1:
            raise Gap(self.seq)
        return found
