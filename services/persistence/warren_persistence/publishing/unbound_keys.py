"""Which routing keys no queue was bound to a moment ago. No I/O.

A writer cannot know which rooms the operator has given to bots: the broker tells, by what comes back.
"""

import time
from collections.abc import Callable, Iterable
from itertools import takewhile

UNBOUND_FOR = 10.0
"""Seconds for which it is believed that nothing is bound to a key: as late a bot hears of a room that it was given at
the broker meanwhile, if nothing was said there before. The log has what it missed."""
KEYS = 50_000
"""Keys that are remembered. Of more, what goes there is published, and comes back."""


class UnboundKeys:
    """Remembers keys for UNBOUND_FOR. Counts in `clock`'s seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        """By key; in the order of the times."""

    def add(self, keys: Iterable[str]) -> None:
        """Remember that nothing is bound to any of these."""
        now = self._clock()
        for key in tuple(takewhile(lambda key: self._until[key] <= now, self._until)):
            del self._until[key]
        for key in keys:
            self._until.pop(key, None)
            if len(self._until) < KEYS:
                self._until[key] = now + UNBOUND_FOR

    def all(self, keys: Iterable[str]) -> bool:
        """Whether nothing is bound to any of these, as far as is known."""
        now = self._clock()
        return all(self._until.get(key, now) > now for key in keys)
