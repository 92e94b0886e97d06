"""Has the projections that no access depends on follow the commits, and makes anew what older rules have made.

Every replica does, and looks again after those that died; what two do at a time comes to the same.
"""

import asyncio
import logging

from warren.ops.mongo import StoreUnavailable
from warren.supervise import failed

from warren_persistence import metrics
from warren_persistence.projections.projector import Projector

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between looks for what another replica left behind."""
PORTION = 100
"""Rooms looked after at once."""


class ProjectionFollower:
    """Reads after the writer."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: something has been stored."""
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        outdated = True
        while True:
            try:
                if outdated:
                    for name in await self._projector.outdated():
                        await self._projector.rebuild_all(name)
                    outdated = False
                await self._projector.follow(PORTION)
                metrics.ROOMS_BEHIND.set(await self._projector.checkpoints.count_behind())
            except StoreUnavailable as error:
                log.warning("projections wait", extra={"error": str(error)})
                await asyncio.sleep(LOOK_EVERY)
            except Exception as error:
                failed("projections", error)
                await asyncio.sleep(LOOK_EVERY)
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
