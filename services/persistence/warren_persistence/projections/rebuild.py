"""Makes a projection anew in all rooms in which older rules have made it, while the service serves."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from warren.contract.ids import RoomId

from warren_persistence.log.structural import PORTION
from warren_persistence.projections.postponed import Postponed, by_halves
from warren_persistence.projections.projector import Projector

log = logging.getLogger(__name__)

ROUNDS = 4
"""How often an operator's command looks whether rooms that failed do so still, before it says that they do."""
ROUND = 5.0
"""Seconds between them."""


class Rebuild:
    """A pass through all rooms, which holds its place: whatever interrupts it, it goes on from there."""

    def __init__(self, projector: Projector, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`name`: of the projection."""
        self.finished = False
        """Whether nothing is left of what older rules have made."""
        self.looked_through = False
        """Whether there is no room that it has not come to."""
        self.postponed = Postponed(clock)
        self._projector = projector
        self._name = name
        self._begun = False
        self._after: RoomId = ""
        self._done = 0

    async def advance(self) -> None:
        """Make anew what is to be tried again, and what has not been looked at; leave what fails for the next time.

        Where too much fails, it waits until less does. Raises StoreUnavailable: call it again.
        """
        if not self._begun:
            log.info("a projection is made anew: all rooms are looked through", extra={"projection": self._name})
            await self._projector.begin_rebuild(self._name)
            self._begun = True
        while due := self.postponed.due(PORTION):
            await self._make(due)
        while not self.looked_through and self.postponed.takes(PORTION):
            await self._look_further()
        if self.looked_through and not self.postponed:
            await self._projector.end_rebuild(self._name)
            self.finished = True

    async def _look_further(self) -> None:
        rooms = await self._projector.rooms(self._after, PORTION)
        if not rooms:
            self.looked_through = True
            return
        await self._make(rooms)
        self._after = rooms[-1]
        self._done += len(rooms)
        log.info("a projection is made anew", extra={"projection": self._name, "rooms": self._done})

    async def _make(self, rooms: Sequence[RoomId]) -> None:
        left = await by_halves(rooms, self._outdated_of)
        self.postponed.tried(rooms, left)
        if left:
            waiting = {"projection": self._name, "rooms": len(left), "one": min(left)}
            log.warning("rooms are left for later, in which a projection could not be made anew", extra=waiting)

    async def _outdated_of(self, rooms: Sequence[RoomId]) -> set[RoomId]:
        return await self._projector.rebuild(self._name, rooms)


async def rebuild_all(projector: Projector, name: str) -> bool:
    """Make a projection anew in all rooms; return whether it could be done in each. Raises StoreUnavailable."""
    rebuild = Rebuild(projector, name)
    for _ in range(ROUNDS):
        await rebuild.advance()
        if rebuild.finished:
            return True
        await asyncio.sleep(ROUND)
    return False
