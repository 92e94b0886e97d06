"""The rooms that somebody here follows: loading, filling holes, resuming, fanning out."""

import asyncio
import logging
from collections.abc import Iterable

from warren.broker.asker import Asker, QueryDenied
from warren.broker.backoff import backoff
from warren.broker.errors import Unavailable
from warren.contract.frames import REPLAY_LIMIT, Joined, Left
from warren.contract.ids import shown
from warren.contract.queries import RANGE_LIMIT, Access, EventRange, Head, Heads, HeadsAnswer, Range, RoomAccess
from warren.contract.topology import bucket
from warren.contract.wire import utc_now

from warren_gateway import metrics
from warren_gateway.feed import Feed
from warren_gateway.live import Live
from warren_gateway.standings import Ask, Standings, may_write
from warren_gateway.subscriber import Subscriber
from warren_gateway.view import Chunk, RoomView, cut, identities, packs

log = logging.getLogger(__name__)

REPAIR_TRIES = 10
"""Reads in vain before a hole is left to the next comparison of heads."""
ACCESS_TRIES = 10
"""Times that an access is judged again because somebody's ended meanwhile."""
REACH_WITHIN = 5.0
"""Seconds that a join waits for the view to come up to what the store has."""
REPLAY_BYTES = 256 * 1024
"""What is replayed at once; the rest when the client has read that."""


class SubscriptionEnded(Exception):
    """The right to read ended between `joined` and the end of the replay."""


class _Room:
    """A view, who reads it, and the work on it."""

    def __init__(self, name: str, live: Live, ask: Ask) -> None:
        self.view = RoomView(name)
        self.readers: set[Subscriber] = set()
        self.standings = Standings(name, live, ask)
        self.last_end = 0
        """The seq of the last event after which somebody may no longer read: an access judged before that is worth
        nothing."""
        self.joining = 0
        self.idle = False
        """Nobody read it when it was last looked at; if so next time too, it goes."""
        self.loading: asyncio.Task[None] | None = None
        self.repairing: asyncio.Task[None] | None = None
        self.readmitting: asyncio.Task[None] | None = None
        self.suspended: set[Subscriber] = set()
        """Who read it until the store turned out to be another one."""
        self.moved = asyncio.Event()
        """Set and replaced when the head moves or a repair gives up."""


class Hub:
    """All room views of one gateway."""

    def __init__(self, asker: Asker, live: Live) -> None:
        self._asker = asker
        self._live = live
        live.judge = self.may_write
        self._rooms: dict[str, _Room] = {}
        self.feed = Feed(self._take, self._buckets, self._feed_connected)
        self._compare = asyncio.Event()

    async def join(self, reader: Subscriber, name: str, since: int | None, epoch: str | None) -> None:
        """Subscribe `reader`, after replaying what it missed. Raises QueryDenied, SubscriptionEnded or Unavailable.

        From the moment it is among the readers, every event goes to it, and its last one is the view's head.
        """
        access = self._remembered(name, reader, since) or await self._ask(name, reader.user)
        room = self._room(name)
        room.joining += 1
        try:
            await self._loaded(room)
            await self._reach(room, access.head)
            room.readers.discard(reader)
            access = await self._admit(room, reader, access, since, epoch)
            if reader in room.readers:
                room.standings.admit(reader, access)
        finally:
            room.joining -= 1

    def leave(self, reader: Subscriber, names: Iterable[str]) -> None:
        """End the subscriptions."""
        for name in names:
            room = self._rooms.get(name)
            if room is not None:
                room.readers.discard(reader)
                room.suspended.discard(reader)
                room.standings.drop(reader)

    def standing(self, name: str, reader: Subscriber) -> Access | None:
        """Return what somebody is in a room that they read; None if they do not."""
        room = self._rooms.get(name)
        return None if room is None else room.standings.get(reader)

    async def access(self, name: str, user: str) -> Access:
        """Return what somebody may do in a room. Raises QueryDenied or Unavailable."""
        room = self._rooms.get(name)
        known = None if room is None else room.standings.remembered(user, room.last_end)
        return known or await self._ask(name, user)

    async def may_write(self, name: str, user: str) -> bool:
        """Return whether somebody may say something in a room now. Raises Unavailable."""
        try:
            return may_write(await self.access(name, user), utc_now())
        except QueryDenied:
            return False

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

    def _room(self, name: str) -> _Room:
        found = self._rooms.get(name)
        if found is not None:
            return found

        async def ask(reader: Subscriber) -> Access:
            return await self._still(room, reader, await self._ask(name, reader.user))

        room = self._rooms[name] = _Room(name, self._live, ask)
        metrics.VIEWS.set(len(self._rooms))
        return room

    async def _ask(self, name: str, user: str) -> Access:
        return await self._asker.ask(RoomAccess(room=name, user=user), Access)

    def _remembered(self, name: str, reader: Subscriber, since: int | None) -> Access | None:
        """Return what is known of somebody who comes back, if it holds to the view's head: polls come all the time.

        Who has seen more than the view has does not get by with it: the store knows how far the view has to come.
        """
        room = self._rooms.get(name)
        if room is None or since is None or since > (room.view.head or 0):
            return None
        return room.standings.remembered(reader.user, room.last_end)

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
            if chunk.ends:
                self._end(room, chunk)
            for reader in tuple(room.readers):
                reader.send(chunk)
            if chunk.standings:
                room.standings.turn(chunk.standings)
        moved, room.moved = room.moved, asyncio.Event()
        moved.set()

    def _end(self, room: _Room, chunk: Chunk) -> None:
        """Show those whose reading ends in this chunk what goes before, and the end itself, and no more."""
        room.last_end = chunk.ends[-1][0]
        first_ends = {user: (seq, kind) for seq, user, kind in reversed(chunk.ends)}
        for user in first_ends:
            self._live.end(room.view.room, user)
        for reader in tuple(room.readers):
            if reader.user in first_ends:
                seq, kind = first_ends[reader.user]
                room.readers.discard(reader)
                reader.send(cut(chunk, seq))
                self._expel(room, reader, Left(room=shown(room.view.room), seq=seq, because=kind))
                metrics.ENDED.inc()

    def _expel(self, room: _Room, reader: Subscriber, why: Left) -> None:
        room.standings.drop(reader, ended=True)
        reader.left(why)

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
        head = answer.heads.get(name, Head(head=0, number=0))  # an inbox into which nothing has come yet
        room.last_end = head.head
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
    ) -> Access:
        access = await self._still(room, reader, access)
        view = room.view
        head = view.head or 0
        reset = since is not None and (epoch not in (None, view.epoch) or since > head or head - since > REPLAY_LIMIT)
        reader.tell(_joined(view, access, reset=reset))
        outcome = "fresh" if since is None else "reset" if reset else "resumed"
        metrics.RESUMES.labels(outcome).inc()
        try:
            return await self._replay(room, reader, access, head if since is None or reset else since)
        except QueryDenied as denied:
            raise SubscriptionEnded from denied

    async def _still(self, room: _Room, reader: Subscriber, access: Access) -> Access:
        """Return an access judged at the last end of somebody's reading or later. Raises QueryDenied."""
        for _ in range(ACCESS_TRIES):
            if access.head >= room.last_end:
                return access
            access = await self._ask(room.view.room, reader.user)
        raise Unavailable("the room's membership changes too fast")

    async def _replay(self, room: _Room, reader: Subscriber, access: Access, since: int) -> Access:
        """Send what follows `since`, piece by piece, and make it a reader the moment nothing is missing.

        Returns the access as it was last judged.
        """
        epoch = room.view.epoch
        while epoch == room.view.epoch:
            chunks = room.view.replay(since, REPLAY_BYTES)
            if chunks is None:
                # The store may be ahead of the view; a reader must not be, or it would be shown those again.
                head = room.view.head or 0
                chunks = [cut(chunk, head) for chunk in await self._read(room, since) if chunk.first <= head]
            if access.head < room.last_end:
                # While we waited somebody lost the right to read, perhaps this one.
                access = await self._still(room, reader, access)
                continue
            for chunk in chunks:
                reader.send(chunk)
                since = chunk.last
            if since >= (room.view.head or 0):
                room.readers.add(reader)
                return access
            if not await reader.drained():
                return access
        raise Unavailable("the room's history was replaced meanwhile")

    async def _read(self, room: _Room, after: int) -> list[Chunk]:
        answer = await self._asker.ask(EventRange(room=room.view.room, after=after, limit=RANGE_LIMIT), Range)
        if not answer.events or answer.events[0]["seq"] != after + 1:
            raise Unavailable(f"the store has nothing after seq {after}")
        number = max((event["number"] for event in answer.events if "number" in event), default=room.view.number)
        return packs(shown(room.view.room), answer.events, number)

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
                chunks = await self._read(room, room.view.head or 0)
                metrics.HOLES.inc()
                for chunk in chunks:
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
        room.last_end = head
        room.standings.restart()
        self._fan_out(room, view.load(epoch, head, number))
        room.suspended |= room.readers
        room.readers.clear()
        if room.readmitting is None:
            room.readmitting = asyncio.create_task(self._readmit(room))
            room.readmitting.add_done_callback(lambda _: setattr(room, "readmitting", None))

    async def _readmit(self, room: _Room) -> None:
        """Let those who read before the epoch changed read on, if they may there too."""
        while room.suspended:
            reader = next(iter(room.suspended))
            try:
                access = await self._still(room, reader, await self._ask(room.view.room, reader.user))
            except (QueryDenied, Unavailable) as error:
                log.info("not readmitted", extra={"room": room.view.room, "error": str(error)})
                if reader in room.suspended:
                    self._expel(room, reader, Left(room=shown(room.view.room), because="access"))
            else:
                if reader in room.suspended:
                    room.readers.add(reader)
                    reader.tell(_joined(room.view, access, reset=True))
                    room.standings.admit(reader, access)
            room.suspended.discard(reader)


def _joined(view: RoomView, access: Access, *, reset: bool) -> Joined:
    return Joined(
        room=shown(view.room),
        epoch=view.epoch,
        head=view.head or 0,
        number=view.number,
        read=access.read,
        reset=reset,
    )


def _trace(room: _Room, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        for identity, seq in identities(chunk):
            detail = {"correlation_id": identity, "room": room.view.room, "seq": seq, "readers": len(room.readers)}
            log.debug("fan-out", extra=detail)
