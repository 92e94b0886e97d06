"""A gateway's copy of a room's head and latest events: batches come in, and go out gap-free and in order. No I/O.

Events come in batches, each the JSON of a client frame, and go out as they came: nothing is decoded on the way. The
replica's promise is that what `offer` returns is gap-free, in order, and each seq once.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Sequence

from warren_gateway.delivery.batch import EventBatch, cut, trim, weight

RING_EVENTS = 512
"""Events kept for those who resume; who was away for longer is served from the store."""
RING_BYTES = 1536 * 1024
"""That they take, as `weight` counts it: 512 KiB of them as they came."""
PENDING_BATCHES = 64
"""Batches kept beyond a gap; if more come, they are read from the store with the gap."""
PENDING_BYTES = 1024 * 1024
"""The same in bytes."""


class ReplayBuffers:
    """The rings of all rooms, which together keep to a bound: who was used least recently gives up the oldest."""

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.bytes = 0
        self._replicas: OrderedDict[RoomReplica, None] = OrderedDict()

    def used(self, replica: "RoomReplica") -> None:
        """Somebody has come, or something: this one goes last."""
        self._replicas[replica] = None
        self._replicas.move_to_end(replica)

    def resized(self, by: int) -> None:
        """A ring has become larger or smaller by so many bytes."""
        self.bytes += by
        while by > 0 and self.bytes > self.limit and self._replicas:
            replica = next(iter(self._replicas))
            if not replica.forget_oldest():
                del self._replicas[replica]

    def forget(self, replica: "RoomReplica") -> None:
        """The room is followed no more."""
        replica.detach()
        self._replicas.pop(replica, None)


class RoomReplica:
    """A room's head and latest events. `head` is None until it is known."""

    def __init__(self, room: str, buffers: ReplayBuffers | None = None) -> None:
        self.room = room
        self.epoch = ""
        self.head: int | None = None
        self.number = 0
        self.seen = 0
        """The highest seq heard of: above `head` there is something to fetch."""
        self._buffers = ReplayBuffers() if buffers is None else buffers
        self._ring: deque[EventBatch] = deque()
        self._ring_bytes = 0
        self._pending: list[EventBatch] = []

    @property
    def behind(self) -> bool:
        """Whether events are known to exist that the replica does not have."""
        return self.head is not None and self.seen > self.head

    def load(self, epoch: str, head: int, number: int) -> list[EventBatch]:
        """Set where the room stands, as the store says; return what arrived meanwhile and follows."""
        self.epoch, self.head, self.number = epoch, head, number
        self.seen = max(self.seen, head)
        self.forget_all()
        return self._drain()

    def note(self, head: int) -> None:
        """Take note that the log reaches to `head`."""
        self.seen = max(self.seen, head)

    def ends_at(self, head: int) -> None:
        """Take note that the log reaches to `head` and no further, whatever was heard of."""
        self.seen = max(self.head or 0, head)

    def forget_oldest(self) -> bool:
        """Give up the oldest batch of the ring; return whether there was one."""
        if not self._ring:
            return False
        self._resize(-weight(self._ring.popleft()))
        return True

    def forget_all(self) -> None:
        """Give up the ring."""
        self._ring.clear()
        self._resize(-self._ring_bytes)

    def detach(self) -> None:
        """Count with the others no more, whoever still works on it."""
        self.forget_all()
        self._buffers = ReplayBuffers()

    def _resize(self, by: int) -> None:
        self._ring_bytes += by
        self._buffers.resized(by)

    def offer(self, batch: EventBatch) -> list[EventBatch]:
        """Take a batch; return what now follows the head, trimmed of what was known. After a gap: nothing."""
        self.seen = max(self.seen, batch.last)
        if self.head is None or batch.first > self.head + 1:
            self._wait(batch)
            return []
        return self._append(batch) + self._drain()

    def reaches(self, since: int) -> bool:
        """Whether all that is known of what follows `since` is here."""
        return self.head is None or since >= self.head or (bool(self._ring) and self._ring[0].first <= since + 1)

    def replay(self, since: int, limit: int) -> list[EventBatch] | None:
        """Return the events after `since`, up to about `limit` bytes; None if the ring does not reach back so far."""
        if self.head is None or since >= self.head:
            return []
        if not self.reaches(since):
            return None
        self._buffers.used(self)
        found: list[EventBatch] = []
        for batch in self._ring:
            if batch.last > since:
                found.append(trim(batch, since))
                limit -= len(batch.body)
                if limit <= 0:
                    break
        return found

    def extend_back(self, batches: Sequence[EventBatch]) -> None:
        """Keep what was read of what goes before the ring, if it reaches up to it and fits: others come who miss it."""
        start = self._ring[0].first if self._ring else (self.head or 0) + 1
        before = [cut(batch, start - 1) for batch in batches if batch.first < start]
        size = sum(map(weight, before))
        if not before or before[-1].last != start - 1:
            return
        if self._ring_bytes + size > RING_BYTES or (self.head or 0) - before[0].first >= RING_EVENTS:
            return
        self._buffers.used(self)
        self._ring.extendleft(reversed(before))
        self._resize(size)

    def _wait(self, batch: EventBatch) -> None:
        """Keep a batch until what is before it is there."""
        waiting = sum(len(each.body) for each in self._pending) + len(batch.body)
        if len(self._pending) >= PENDING_BATCHES or waiting > PENDING_BYTES:
            self._pending.clear()
        self._pending.append(batch)

    def _drain(self) -> list[EventBatch]:
        """Apply what waited beyond the gap, as far as it reaches now."""
        if not self._pending:
            return []
        waiting, self._pending = sorted(self._pending, key=lambda batch: batch.first), []
        applied: list[EventBatch] = []
        for batch in waiting:
            if self.head is not None and batch.first <= self.head + 1:
                applied += self._append(batch)
            else:
                self._pending.append(batch)
        return applied

    def _append(self, batch: EventBatch) -> list[EventBatch]:
        if self.head is None or batch.last <= self.head:
            return []
        batch = trim(batch, self.head)
        self.head, self.number = batch.last, batch.number
        self._ring.append(batch)
        self._buffers.used(self)
        self._resize(weight(batch))
        while self._ring and (
            self._ring_bytes > RING_BYTES or self._ring[-1].last - self._ring[0].first >= RING_EVENTS
        ):
            self.forget_oldest()
        return [batch]
