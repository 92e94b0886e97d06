"""The rooms that somebody here follows: loading, filling holes, resuming, fanning out."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from warren.broker.backoff import backoff
from warren.broker.errors import Unavailable
from warren.contract.frames import REPLAY_LIMIT, Joined
from warren.contract.queries import RANGE_LIMIT, Access, EventRange, Heads, HeadsAnswer, Range, RoomAccess
from warren.contract.topology import bucket

from warren_gateway import metrics
from warren_gateway.feed import Feed
from warren_gateway.queries import Asker, QueryDenied
from warren_gateway.view import Chunk, RoomView, cut, identities, pack

log = logging.getLogger(__name__)

REPAIR_TRIES = 10
"""Reads in vain before a hole is left to the next comparison of heads."""
REACH_WITHIN = 5.0
"""Seconds that a join waits for the view to come up to what the store has."""
REPLAY_BYTES = 256 * 1024
"""What is replayed at once; the rest when the client has read that."""


class Subscriber(Protocol):
    """Whoever gets a room's events. `send` and `tell` never wait; a subscriber that can't keep up cuts itself."""

    def tell(self, frame: Joined) -> None:
        """Take a frame about the subscription."""

    def send(self, chunk: Chunk) -> None:
        """Take events."""

    async def drained(self) -> bool:
        """Wait until what was sent is on its way; False if the subscriber is gone."""


class _Room:
    """A view, who reads it, and the work on it."""

    def __init__(self, name: str) -> None:
        self.view = RoomView(name)
        self.readers: set[Subscriber] = set()
        self.joining = 0
        self.idle = False
        """Nobody read it when it was last looked at; if so next time too, it goes."""
        self.loading: asyncio.Task[None] | None = None
        self.repairing: asyncio.Task[None] | None = None
        self.moved = asyncio.Event()
        """Set and replaced when the head moves or a repair gives up."""


class Hub:
    """All room views of one gateway."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._rooms: dict[str, _Room] = {}
        self.feed = Feed(self._take, self._buckets, self._feed_connected)
        self._compare = asyncio.Event()

    async def join(self, reader: Subscriber, name: str, user: str, since: int | None, epoch: str | None) -> None:
        """Subscribe `reader`, after replaying what it missed. Raises QueryDenied or Unavailable.

        From the moment it is among the readers, every event goes to it, and its last one is the view's head.
        """
        access = await self._asker.ask(RoomAccess(room=name, user=user), Access)
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(name)
            metrics.VIEWS.set(len(self._rooms))
        room.joining += 1
        try:
            await self._loaded(room)
            await self._reach(room, access.head)
            room.readers.discard(reader)
            await self._admit(room, reader, access, since, epoch)
        finally:
            room.joining -= 1

    def leave(self, reader: Subscriber, names: Iterable[str]) -> None:
        """End the subscriptions."""
        for name in names:
            room = self._rooms.get(name)
            if room is not None:
                room.readers.discard(reader)

    async def compare_heads(self, every: float) -> None:
        """Compare all heads with the store's every so many seconds and after each reconnect, until cancelled.

        That finds a lost tail, which has no successor to show it. Rooms that nobody follows any more go then, too.
        """
        waits = backoff()
        while True:
            try:
                async with asyncio.timeout(every):
                    await self._compare.wait()
            except TimeoutError:
                await self._sweep()
            self._compare.clear()
            try:
                await self._compare_all()
                waits = backoff()
            except (Unavailable, QueryDenied) as error:
                # Soon again: after a reconnect the mailbox may come back later than the events.
                log.warning("heads not compared", extra={"error": str(error)})
                self._compare.set()
                await asyncio.sleep(next(waits))

    def _buckets(self) -> Iterable[int]:
        return {bucket(name) for name in self._rooms}

    def _feed_connected(self) -> None:
        self._compare.set()

    def _take(self, name: str, epoch: str, chunk: Chunk) -> None:
        room = self._rooms.get(name)
        if room is None:
            return
        if room.view.epoch and room.view.epoch != epoch:
            self._compare.set()
            return
        applied = room.view.offer(chunk)
        self._fan_out(room, applied)
        if log.isEnabledFor(logging.DEBUG):
            _trace(room, applied)
        self._mend(room)

    def _fan_out(self, room: _Room, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            for reader in tuple(room.readers):
                reader.send(chunk)
        moved, room.moved = room.moved, asyncio.Event()
        moved.set()

    async def _loaded(self, room: _Room) -> None:
        if room.view.head is not None:
            return
        if room.loading is None:
            room.loading = asyncio.create_task(self._load(room))
            room.loading.add_done_callback(lambda _: setattr(room, "loading", None))
        await asyncio.shield(room.loading)

    async def _load(self, room: _Room) -> None:
        """Subscribe first, then read the store, then apply what arrived meanwhile."""
        name = room.view.room
        await self.feed.bind(bucket(name))
        answer = await self._asker.ask(Heads(rooms=[name]), HeadsAnswer)
        head = answer.heads.get(name)
        if head is None:
            raise Unavailable(f"the store has no log of {name}")
        self._fan_out(room, room.view.load(answer.epoch, head.head, head.number))

    async def _reach(self, room: _Room, head: int) -> None:
        """Wait until the view has come up to what the store is known to have."""
        room.view.note(head)
        try:
            async with asyncio.timeout(REACH_WITHIN):
                while (room.view.head or 0) < head:
                    moved = room.moved
                    self._mend(room)
                    await moved.wait()
        except TimeoutError as error:
            raise Unavailable("the room's view lags behind the store") from error

    async def _admit(
        self, room: _Room, reader: Subscriber, access: Access, since: int | None, epoch: str | None
    ) -> None:
        view = room.view
        head = view.head or 0
        reset = since is not None and (epoch not in (None, view.epoch) or since > head or head - since > REPLAY_LIMIT)
        reader.tell(
            Joined(
                room=view.room,
                epoch=view.epoch,
                head=head,
                number=view.number,
                read=access.read,
                reset=reset,
            )
        )
        outcome = "fresh" if since is None else "reset" if reset else "resumed"
        metrics.RESUMES.labels(outcome).inc()
        await self._replay(room, reader, head if since is None or reset else since)

    async def _replay(self, room: _Room, reader: Subscriber, since: int) -> None:
        """Send what follows `since`, piece by piece, and make it a reader the moment nothing is missing."""
        epoch = room.view.epoch
        while epoch == room.view.epoch:
            chunks = room.view.replay(since, REPLAY_BYTES)
            if chunks is None:
                # The store may be ahead of the view; a reader must not be, or it would be shown those again.
                page = await self._read(room, since)
                chunks = [cut(page, room.view.head or 0)]
            for chunk in chunks:
                reader.send(chunk)
                since = chunk.last
            if since >= (room.view.head or 0):
                room.readers.add(reader)
                return
            if not await reader.drained():
                return
        raise Unavailable("the room's history was replaced meanwhile")

    async def _read(self, room: _Room, after: int) -> Chunk:
        answer = await self._asker.ask(EventRange(room=room.view.room, after=after, limit=RANGE_LIMIT), Range)
        if not answer.events or answer.events[0]["seq"] != after + 1:
            raise Unavailable(f"the store has nothing after seq {after}")
        number = max((event["number"] for event in answer.events if "number" in event), default=room.view.number)
        return pack(room.view.room, answer.events, number)

    def _mend(self, room: _Room) -> None:
        """Start reading what the view misses, unless that is under way."""
        if room.view.behind and room.repairing is None:
            room.repairing = asyncio.create_task(self._repair(room))
            room.repairing.add_done_callback(lambda _: setattr(room, "repairing", None))

    async def _repair(self, room: _Room) -> None:
        waits = backoff()
        tries = 0
        while room.view.behind and tries < REPAIR_TRIES:
            try:
                chunk = await self._read(room, room.view.head or 0)
                metrics.HOLES.inc()
                self._fan_out(room, room.view.offer(chunk))
            except (Unavailable, QueryDenied) as error:
                tries += 1
                log.warning("hole not filled", extra={"room": room.view.room, "error": str(error)})
                await asyncio.sleep(next(waits))
        self._fan_out(room, [])

    async def _sweep(self) -> None:
        for name, room in list(self._rooms.items()):
            unused = not room.readers and not room.joining
            if unused and room.idle:
                del self._rooms[name]
                if bucket(name) not in self._buckets():
                    await self.feed.unbind(bucket(name))
            room.idle = unused
        metrics.VIEWS.set(len(self._rooms))

    async def _compare_all(self) -> None:
        names = [name for name, room in self._rooms.items() if room.view.head is not None]
        for start in range(0, len(names), RANGE_LIMIT):
            answer = await self._asker.ask(Heads(rooms=names[start : start + RANGE_LIMIT]), HeadsAnswer)
            for name, head in answer.heads.items():
                room = self._rooms.get(name)
                if room is None:
                    continue
                if room.view.epoch != answer.epoch:
                    self._restart(room, answer.epoch, head.head, head.number)
                room.view.note(head.head)
                self._mend(room)

    def _restart(self, room: _Room, epoch: str, head: int, number: int) -> None:
        """The store is another than before: what the readers have of this room counts no more."""
        log.warning("epoch changed", extra={"room": room.view.room, "epoch": epoch})
        metrics.EPOCHS.inc()
        view = room.view = RoomView(room.view.room)
        self._fan_out(room, view.load(epoch, head, number))
        for reader in tuple(room.readers):
            reader.tell(Joined(room=view.room, epoch=epoch, head=head, number=number, read=0, reset=True))


def _trace(room: _Room, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        for identity, seq in identities(chunk):
            detail = {"correlation_id": identity, "room": room.view.room, "seq": seq, "readers": len(room.readers)}
            log.debug("fan-out", extra=detail)
