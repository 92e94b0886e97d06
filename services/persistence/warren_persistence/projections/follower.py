"""Has the projections that no access depends on follow the commits, and makes anew what older rules have made.

Every replica does, and looks again after those that died; what two do at a time comes to the same.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from warren.ops.mongo import StoreUnavailable
from warren.supervise import contained, endless

from warren_persistence import metrics
from warren_persistence.projections.projector import Projector
from warren_persistence.projections.rebuild import Rebuild

log = logging.getLogger(__name__)

CHECK_EVERY = 5.0
"""Seconds between looks for what another replica left behind, and for what failed."""
PORTION = 100
"""Rooms looked after at once."""


class ProjectionFollower:
    """Reads after the writer. What is made anew is a task beside it: that takes long, and nobody waits for it."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: something has been stored."""
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(endless(self._follow()))
            group.create_task(self._rebuild_outdated())

    async def _follow(self) -> None:
        while True:
            done = False
            with _contained():
                metrics.ROOMS_BEHIND.set(await self._projector.follow(PORTION))
                done = True
            if not done:
                await asyncio.sleep(CHECK_EVERY)
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(CHECK_EVERY):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _rebuild_outdated(self) -> None:
        names: list[str] | None = None
        while names is None:
            with _contained():
                names = await self._projector.outdated()
            if names is None:
                await asyncio.sleep(CHECK_EVERY)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._rebuild(name))

    async def _rebuild(self, name: str) -> None:
        rebuild = Rebuild(self._projector, name)
        while not rebuild.finished:
            with _contained():
                await rebuild.advance()
            if not rebuild.finished:
                await asyncio.sleep(CHECK_EVERY)


@contextmanager
def _contained() -> Iterator[None]:
    """Let what fails be tried again."""
    with contained("projections"):
        try:
            yield
        except StoreUnavailable as error:
            log.warning("projections wait", extra={"error": str(error)})
