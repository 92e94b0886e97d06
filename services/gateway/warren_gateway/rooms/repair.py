"""Reads from the store what a room's replica lacks: a room and a place in its log come in, batches of events go out."""

import asyncio
import logging
from collections.abc import Callable

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.ids import shown
from warren.contract.queries import RANGE_LIMIT, EventRange, Range
from warren.supervise import retrieve

from warren_gateway import metrics
from warren_gateway.delivery.batch import EventBatch, packs
from warren_gateway.rooms.room import Room

log = logging.getLogger(__name__)

REPAIR_TRIES = 10
"""Reads in vain before a gap is left to the next comparison of heads."""
REACH_WITHIN = 5.0
"""Seconds that a join waits for the replica to come up to what the store has."""


class Repair:
    """Fills gaps in replicas. `doubt` is called with a room whose store seems to be another than before."""

    def __init__(self, rpc: RpcClient, doubt: Callable[[str], None]) -> None:
        self._rpc = rpc
        self._doubt = doubt

    def expect(self, room: Room, epoch: str) -> None:
        """Raises Unavailable if the store that has just answered is another than the replica is of."""
        room.check()
        if room.replica.epoch != epoch:
            self._doubt(room.name)
            raise Unavailable("the room's history was replaced")

    def start(self, room: Room) -> None:
        """Start reading what the replica misses, unless that is under way."""
        if room.replica.behind and is_over(room.repairing):
            room.repairing = room.work.start(self._run(room))

    async def reach(self, room: Room, head: int) -> None:
        """Wait until the replica has come up to what the store is known to have. Raises Unavailable."""
        room.replica.note(head)
        if (room.replica.head or 0) >= head:
            return
        try:
            async with asyncio.timeout(REACH_WITHIN):
                while (room.replica.head or 0) < head:
                    moved = room.moved
                    self.start(room)
                    await moved.wait()
                    room.check()
        except TimeoutError as error:
            raise Unavailable("the room's replica lags behind the store") from error

    async def read(self, room: Room, after: int) -> list[EventBatch]:
        """Return what the store has after a seq that it had once. Raises QueryDenied or Unavailable."""
        answer = await self._rpc.ask(EventRange(room=room.name, after=after, limit=RANGE_LIMIT), Range)
        self.expect(room, answer.epoch)
        if not answer.events or answer.events[0]["seq"] != after + 1:
            if answer.head <= after:
                room.replica.ends_at(answer.head)  # what was said to be there is not
            raise Unavailable(f"the store has nothing after seq {after}")
        number = max((event["number"] for event in answer.events if "number" in event), default=room.replica.number)
        return packs(shown(room.name), answer.events, number)

    async def read_together(self, room: Room, after: int) -> list[EventBatch]:
        """Do the same for all who miss the same at the time; who comes next finds it in the replica.

        All members of a room come back at once when their gateway has died.
        """
        reading = room.reading.get(after)
        if reading is None:
            reading = room.reading[after] = asyncio.create_task(self._read_back(room, after))
            reading.add_done_callback(retrieve)  # they may all have gone who waited for it
        return await asyncio.shield(reading)

    async def _read_back(self, room: Room, after: int) -> list[EventBatch]:
        try:
            found = await self.read(room, after)
            room.replica.extend_back(found)
            return found
        finally:
            del room.reading[after]

    async def _run(self, room: Room) -> None:
        waits = backoff()
        tries = 0
        while room.replica.behind and tries < REPAIR_TRIES:
            try:
                batches = await self.read(room, room.replica.head or 0)
                metrics.GAPS_FILLED.inc()
                for batch in batches:
                    room.fan_out(room.replica.offer(batch))
            except (Unavailable, QueryDenied) as error:
                tries += 1
                log.warning("gap not filled", extra={"room": room.name, "error": str(error)})
                await pause(next(waits))
        room.fan_out([])


def is_over(task: asyncio.Task[None] | None) -> bool:
    """Whether a task has ended, or never began."""
    return task is None or task.done()
