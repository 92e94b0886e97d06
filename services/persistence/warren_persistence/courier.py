"""Tells people in their inboxes what concerns them elsewhere, at least once and, by its key, once.

A notice is a command to another room, perhaps of another writer, and that one's queue may be full: so the writer does
not wait for it. An event that concerns somebody is stored with the mark `unsent`, in the same insert; a courier
publishes the notice and takes the mark away. Every replica has one, and looks again after those that died.
"""

import asyncio
import logging

from warren.broker.errors import Unavailable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract.commands import Commands, Notify
from warren.contract.topology import COMMANDS, shard, shard_key
from warren.ops.mongo import StoreUnavailable

from warren_persistence.domain.notices import concerned, notice
from warren_persistence.store import Store

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between looks for what another replica left behind."""
PORTION = 100
"""Notices published at once."""


class Courier:
    """Publishes the notices of stored events."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: something has been stored."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                while await self._deliver():
                    pass
            except (StoreUnavailable, Unavailable) as error:
                log.warning("notices wait", extra={"error": str(error)})

    async def _deliver(self) -> bool:
        """Publish one portion; return whether there may be more."""
        found = await self._store.unsent(PORTION)
        rooms = await self._store.rooms_by_name({room for room, _ in found})
        for room, event in found:
            user, about = concerned(event), rooms.get(room)
            if user is not None and about is not None:
                await self._publish(notice(room, about["kind"], about["title"], event, user))
        await self._store.mark_sent(found)
        return len(found) == PORTION

    async def _publish(self, command: Notify) -> None:
        await self._publisher.publish(
            COMMANDS,
            shard_key(shard(command.room)),
            Commands(commands=[command]).model_dump_json(exclude_none=True).encode(),
            mandatory=True,
            delivery_mode=PERSISTENT,
        )
