"""Sends notices to people's inboxes of what concerns them elsewhere, at least once and, by its key, once.

A notice is a command to another room, perhaps of another writer, and that one's queue may be full: so the writer does
not wait for it. An event that concerns somebody is stored with the mark `unsent`, in the same insert; the outbox
publishes the notice and takes the mark away. Every replica has one, and looks again after those that died.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from warren.broker.errors import Unavailable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract.commands import Commands, Notify
from warren.contract.topology import COMMANDS, shard, shard_key
from warren.ops.mongo import StoreUnavailable
from warren.supervise import contained, failed

from warren_persistence.domain.notices import notice, recipient
from warren_persistence.domain.room import LogEvent
from warren_persistence.store import Store

log = logging.getLogger(__name__)

CHECK_EVERY = 5.0
"""Seconds between looks for what another replica left behind, and for what was refused."""
PORTION = 100
"""Events read, and their notices published, at once."""


class NotificationOutbox:
    """Publishes the notices of stored events. Those of a shard whose queue is full wait; nobody else's do."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Publish now: something has been stored."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_EVERY):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                refused = await self.deliver()
            except StoreUnavailable as error:
                log.warning("notices not published", extra={"error": str(error)})
                continue
            except Exception as error:
                failed("notice", error)
                continue
            if refused:
                log.warning(
                    "notices not published", extra={"refused": {str(shard): str(why) for shard, why in refused.items()}}
                )
                await asyncio.sleep(CHECK_EVERY)  # each round reads all that waits, and each message would begin one

    async def deliver(self) -> dict[int, Unavailable]:
        """Publish all notices that wait; return the shards that refused one, whose others were not tried.

        Raises StoreUnavailable.
        """
        refused: dict[int, Unavailable] = {}
        async for found in self._store.outbox.unsent(PORTION):
            names = {room for room, _ in found}
            await self._store.projector.load(names)
            rooms = await self._store.rooms.by_name(names)
            sent = [(room, event) for room, event in found if await self._done(room, event, rooms.get(room), refused)]
            await self._store.outbox.mark_sent(sent)
        return refused

    async def _done(
        self, room: str, event: LogEvent, about: Mapping[str, Any] | None, refused: dict[int, Unavailable]
    ) -> bool:
        """Publish the event's notice; return whether it is done with, which it is, too, if there is none."""
        with contained("notice", room=room, seq=event.seq):
            return await self._deliver(room, event, about, refused)
        return False  # it waits for somebody to mend that, and no other does

    async def _deliver(
        self, room: str, event: LogEvent, about: Mapping[str, Any] | None, refused: dict[int, Unavailable]
    ) -> bool:
        user = recipient(event)
        if user is None or about is None:
            return True
        command = notice(room, about["kind"], about["title"], event, user)
        number = shard(command.room)
        if number in refused:
            return False
        try:
            await self._publish(command, number)
        except Unavailable as error:
            refused[number] = error
        return number not in refused

    async def _publish(self, command: Notify, number: int) -> None:
        await self._publisher.publish(
            COMMANDS,
            shard_key(number),
            Commands(commands=[command]).model_dump_json(exclude_none=True).encode(),
            mandatory=True,
            delivery_mode=PERSISTENT,
        )
