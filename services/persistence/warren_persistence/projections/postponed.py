"""Rooms that a projection fails in: they hold no others up, and are tried again later, ever more rarely."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import islice

from warren.contract.ids import RoomId
from warren.ops.mongo import StoreUnavailable
from warren.supervise import failed

from warren_persistence import metrics

FIRST_WAIT = 5.0
"""Seconds until a room is tried again; twice as many each time."""
LAST_WAIT = 600.0
"""Seconds at most: what fails for that long takes a new version, or an operator."""
LIMIT = 1_000
"""Rooms remembered. If there are more it is not the rooms."""


class Postponed:
    """Which rooms wait, and for how long. Beyond LIMIT those that have waited longest are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rooms: dict[RoomId, tuple[float, float]] = {}
        """When it is due, and how long it waits; those first that were tried first."""
        self._counted = 0

    def __len__(self) -> int:
        """Return how many rooms wait."""
        return len(self._rooms)

    def __contains__(self, room: object) -> bool:
        """Whether a room is remembered, be it that it is due."""
        return room in self._rooms

    def takes(self, rooms: int) -> bool:
        """Whether so many more can be remembered."""
        return len(self._rooms) + rooms <= LIMIT

    def waits(self, room: RoomId) -> bool:
        """Whether a room is not to be tried yet."""
        return room in self._rooms and self._rooms[room][0] > self._clock()

    def due(self, limit: int) -> list[RoomId]:
        """Return up to `limit` rooms that are to be tried again."""
        return list(islice((room for room in self._rooms if not self.waits(room)), limit))

    def tried(self, rooms: Collection[RoomId], left: Collection[RoomId]) -> None:
        """Take note that these rooms were tried, and that some are left for later."""
        waited = {room: self._rooms.pop(room, (0.0, FIRST_WAIT / 2))[1] for room in rooms}
        for room in left:
            wait = min(2 * waited[room], LAST_WAIT)
            self._rooms[room] = (self._clock() + wait, wait)
        while len(self._rooms) > LIMIT:
            del self._rooms[next(iter(self._rooms))]
        self._count()

    def keep(self, rooms: Collection[RoomId]) -> None:
        """Forget all rooms but these: others have been seen to."""
        for room in self._rooms.keys() - rooms:
            del self._rooms[room]
        self._count()

    def _count(self) -> None:
        metrics.ROOMS_POSTPONED.inc(len(self._rooms) - self._counted)
        self._counted = len(self._rooms)


async def by_halves(
    rooms: Sequence[RoomId], work: Callable[[Sequence[RoomId]], Awaitable[Collection[RoomId]]]
) -> set[RoomId]:
    """Do `work` for these rooms at once, and by halves where it fails in a way that nobody foresaw.

    Return the rooms that it leaves undone, and those that it fails for alone. Raises StoreUnavailable.
    """
    left, todo = set[RoomId](), [rooms] if rooms else []
    while todo:
        some = todo.pop()
        try:
            left |= set(await work(some))
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(some) == 1:
                failed("projections", error, room=some[0])
                left.add(some[0])
            else:
                todo += [some[: len(some) // 2], some[len(some) // 2 :]]
    return left
