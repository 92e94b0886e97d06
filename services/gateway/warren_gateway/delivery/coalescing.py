"""One write for all that a connection gets in one turn of the event loop."""

import asyncio
from typing import Protocol

from warren_gateway import metrics


class Flushable(Protocol):
    """Something that has gathered what it is to write."""

    def flush(self) -> None:
        """Write it. Never raises."""


class WriteCoalescer:
    """Has everything flushed that was written to in this turn: one callback for all of them, not one each."""

    def __init__(self) -> None:
        self._gathering: list[Flushable] = []
        self.further = 0
        """Frames of this turn, but for the first of each; counted in one go: a counter takes a lock each time."""

    def add(self, one: Flushable) -> None:
        """Flush this at the end of the turn: its first frame is there."""
        if not self._gathering:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathering.append(one)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, []
        metrics.FRAMES_OUT.inc(len(gathering) + self.further)
        self.further = 0
        for one in gathering:
            one.flush()
