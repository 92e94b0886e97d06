"""The rooms that somebody here follows: loading, filling holes, resuming, fanning out."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.frames import REPLAY_LIMIT, Joined, Left
from warren.contract.ids import shown
from warren.contract.queries import RANGE_LIMIT, Access, EventRange, Head, Heads, HeadsAnswer, Range, RoomAccess
from warren.contract.wire import utc_now
from warren.supervise import Tasks, contained

from warren_gateway import metrics
from warren_gateway.broker.event_consumer import EventConsumer
from warren_gateway.delivery.batch import EventBatch, cut, identities, packs
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.delivery.turns import unhurried
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.permissions import Ask, PermissionCache, may_write
from warren_gateway.rooms.replica import ReplayBuffers, RoomReplica

log = logging.getLogger(__name__)

REPAIR_TRIES = 10
"""Reads in vain before a hole is left to the next comparison of heads."""
ACCESS_TRIES = 10
"""Times that an access is judged again because somebody's ended meanwhile."""
REACH_WITHIN = 5.0
"""Seconds that a join waits for the replica to come up to what the store has."""
COMPARE_AFTER = 0.2
"""Seconds, about, between two comparisons of what is doubtful, however many messages make no sense."""
REPLAY_BYTES = 256 * 1024
"""What is replayed at once; the rest when the client has read that."""


class SubscriptionEnded(Exception):
    """The right to read ended between `joined` and the end of the replay."""


class _Room:
    """A view, who reads it, and the work on it; `give_up` is called when that has failed."""

    def __init__(self, replica: RoomReplica, live: PresenceClient, ask: Ask, give_up: Callable[[], None]) -> None:
        self.replica = replica
        self.readers: set[Subscriber] = set()
        self.work = Tasks("room", give_up)
        self.standings = PermissionCache(replica.room, live, ask, self.work)
        self.last_end = 0
        """The seq of the last event after which somebody may no longer read: an access judged before that is worth
        nothing."""
        self.joining = 0
        self.idle = False
        """Nobody read it when it was last looked at; if so next time too, it goes."""
        self.given_up = False
        self.loading: asyncio.Task[None] | None = None
        self.repairing: asyncio.Task[None] | None = None
        self.readmitting: asyncio.Task[None] | None = None
        self.suspended: set[Subscriber] = set()
        """Who read it until the store turned out to be another one."""
        self.moved = asyncio.Event()
        """Set and replaced when the head moves, a repair gives up or the room is given up."""

    def wake(self) -> None:
        """Have all who wait look again."""
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def check(self) -> None:
        """Raises Unavailable if it was given up while somebody waited for something."""
        if self.given_up:
            raise Unavailable("the room is read anew")


class RoomRegistry:
    """All room views of one gateway. `replay_bytes`: what their rings hold together."""

    def __init__(self, rpc: RpcClient, live: PresenceClient, replay_bytes: int) -> None:
        self._rpc = rpc
        self._live = live
        live.judge = self.may_write
        self._rooms: dict[str, _Room] = {}
        self._buffers = ReplayBuffers(replay_bytes)
        self.feed = EventConsumer(self._take, self._doubt, self._doubt_all)
        self._doubtful: dict[str, None] = {}
        """Rooms whose head is to be compared with the store's."""
        self._doubts = asyncio.Event()

    @property
    def replay_bytes(self) -> int:
        """What is kept of the latest events of all rooms, for those who come back."""
        return self._buffers.bytes

    async def join(self, reader: Subscriber, name: str, since: int | None, epoch: str | None) -> None:
        """Subscribe `reader`, after replaying what it missed. Raises QueryDenied, SubscriptionEnded or Unavailable.

        From the moment it is among the readers, every event goes to it, and its last one is the replica's head.
        """
        access = self._remembered(name, reader.user, since) or await self._ask(name, reader.user)
        room = self._room(name)
        room.joining += 1
        try:
            await self._loaded(room)
            self._expect(room, access.epoch)
            await self._reach(room, access.head)
            room.readers.discard(reader)
            access = await self._admit(room, reader, access, since, epoch)
            if reader in room.readers:
                room.standings.admit(reader, access)
        finally:
            room.joining -= 1

    def knows(self, name: str, user: str, since: int | None) -> bool:
        """Whether the store need not be asked how somebody stands in a room, or what came after this place."""
        return self._remembered(name, user, since) is not None and self._rooms[name].replica.reaches(since or 0)

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
        clock = asyncio.get_running_loop().time
        waits, due = backoff(), clock() + every
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - clock()):
                    await self._doubts.wait()
            if clock() >= due:
                due = clock() + every
                await self._sweep()
                self._doubt_all()
            try:
                await self._compare_doubtful()
                waits = backoff(COMPARE_AFTER)
            except (Unavailable, QueryDenied) as error:
                # Soon again: after a reconnect the mailbox may come back later than the events.
                log.warning("heads not compared", extra={"error": str(error)})
            await pause(next(waits))

    def _room(self, name: str) -> _Room:
        found = self._rooms.get(name)
        if found is not None:
            return found

        async def ask(reader: Subscriber) -> Access:
            return await self._still(room, reader, await self._ask(name, reader.user))

        replica = RoomReplica(name, self._buffers)
        room = self._rooms[name] = _Room(replica, self._live, ask, lambda: self._give_up(room))
        self.feed.queue.follow(name)
        metrics.VIEWS.set(len(self._rooms))
        return room

    def _drop(self, room: _Room) -> None:
        """Follow a room no more."""
        name = room.replica.room
        if self._rooms.get(name) is room:
            del self._rooms[name]
            self._doubtful.pop(name, None)
            self.feed.queue.unfollow(name)
            metrics.VIEWS.set(len(self._rooms))
        self._buffers.forget(room.replica)
        room.work.cancel()

    def _give_up(self, room: _Room) -> None:
        """Something has failed that nobody foresaw, so nobody knows what the room's readers have: they join anew."""
        log.warning("room given up", extra={"room": room.replica.room, "readers": len(room.readers)})
        self._drop(room)
        room.given_up = True
        readers = room.readers | room.suspended
        room.readers.clear()
        room.suspended.clear()
        for reader in readers:
            with contained("connection"):
                room.standings.drop(reader)
                reader.lost(shown(room.replica.room))
        room.wake()

    async def _ask(self, name: str, user: str) -> Access:
        return await self._rpc.ask(RoomAccess(room=name, user=user), Access)

    def _remembered(self, name: str, user: str, since: int | None) -> Access | None:
        """Return what is known of somebody who comes back, if it holds to the replica's head: polls come all the time.

        Who has seen more than the replica has does not get by with it: the store knows how far the replica has to come.
        """
        room = self._rooms.get(name)
        if room is None or since is None or since > (room.replica.head or 0):
            return None
        return room.standings.remembered(user, room.last_end)

    def _doubt(self, name: str) -> None:
        """Have a room's head compared with the store's."""
        if name in self._rooms:
            self._doubtful[name] = None
            self._doubts.set()

    def _doubt_all(self) -> None:
        self._doubtful = dict.fromkeys(self._rooms)
        self._doubts.set()

    def _take(self, name: str, epoch: str, batch: EventBatch) -> None:
        room = self._rooms.get(name)
        if room is None:
            return
        if room.replica.epoch and room.replica.epoch != epoch:
            self._doubt(name)
            return
        applied = room.replica.offer(batch)
        with contained("room", lambda: self._give_up(room), room=name):
            self._fan_out(room, applied)
            if log.isEnabledFor(logging.DEBUG):
                _trace(room, applied)
            self._mend(room)

    def _fan_out(self, room: _Room, batches: Iterable[EventBatch]) -> None:
        for batch in batches:
            if batch.ends:
                self._end(room, batch)
            for reader in tuple(room.readers):
                reader.send(batch)
            if batch.standings:
                room.standings.turn(batch.standings)
        room.wake()

    def _end(self, room: _Room, batch: EventBatch) -> None:
        """Show those whose reading ends in this batch what goes before, and the end itself, and no more."""
        room.last_end = batch.ends[-1][0]
        first_ends = {user: (seq, kind) for seq, user, kind in reversed(batch.ends)}
        for user in first_ends:
            self._live.end(room.replica.room, user)
        for reader in tuple(room.readers):
            if reader.user in first_ends:
                seq, kind = first_ends[reader.user]
                reader.send(cut(batch, seq))
                room.readers.discard(reader)
                self._expel(room, reader, Left(room=shown(room.replica.room), seq=seq, because=kind))
                metrics.ENDED.inc()

    def _expel(self, room: _Room, reader: Subscriber, why: Left) -> None:
        room.standings.drop(reader, ended=True)
        reader.left(why)

    async def _loaded(self, room: _Room) -> None:
        if room.replica.head is not None:
            return
        loading = room.loading
        if loading is None or loading.done():
            loading = room.loading = asyncio.create_task(self._load(room))
            loading.add_done_callback(_retrieve)  # they may all have gone who waited for it
        await asyncio.shield(loading)

    async def _load(self, room: _Room) -> None:
        """Subscribe first, then read the store, then apply what arrived meanwhile."""
        name = room.replica.room
        await self.feed.queue.bind(name)
        answer = await self._rpc.ask(Heads(rooms=[name]), HeadsAnswer)
        head = answer.heads.get(name, Head(head=0, number=0))  # an inbox into which nothing has come yet
        room.last_end = head.head
        with contained("room", lambda: self._give_up(room), room=name):
            self._fan_out(room, room.replica.load(answer.epoch, head.head, head.number))

    def _expect(self, room: _Room, epoch: str) -> None:
        """Raises Unavailable if the store that has just answered is another than the replica is of."""
        room.check()
        if room.replica.epoch != epoch:
            self._doubt(room.replica.room)
            raise Unavailable("the room's history was replaced")

    async def _reach(self, room: _Room, head: int) -> None:
        """Wait until the replica has come up to what the store is known to have."""
        room.replica.note(head)
        try:
            async with asyncio.timeout(REACH_WITHIN):
                while (room.replica.head or 0) < head:
                    moved = room.moved
                    self._mend(room)
                    await moved.wait()
                    room.check()
        except TimeoutError as error:
            raise Unavailable("the room's view lags behind the store") from error

    async def _admit(
        self, room: _Room, reader: Subscriber, access: Access, since: int | None, epoch: str | None
    ) -> Access:
        access = await self._still(room, reader, access)
        replica = room.replica
        head = replica.head or 0
        reset = since is not None and (
            epoch not in (None, replica.epoch) or since > head or head - since > REPLAY_LIMIT
        )
        reader.tell(_joined(replica, access, reset=reset))
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
            access = await self._ask(room.replica.room, reader.user)
            self._expect(room, access.epoch)
        raise Unavailable("the room's membership changes too fast")

    async def _replay(self, room: _Room, reader: Subscriber, access: Access, since: int) -> Access:
        """Send what follows `since`, piece by piece, and make it a reader the moment nothing is missing.

        Returns the access as it was last judged.
        """
        epoch = room.replica.epoch
        while epoch == room.replica.epoch:
            room.check()
            batches = room.replica.replay(since, REPLAY_BYTES)
            if batches is None:
                # The store may be ahead of the replica; a reader must not be, or it would be shown those again.
                found = await self._read(room, since)
                batches = [
                    cut(batch, room.replica.head or 0) for batch in found if batch.first <= (room.replica.head or 0)
                ]
                room.check()
            if access.head < room.last_end:
                # While we waited somebody lost the right to read, perhaps this one.
                access = await self._still(room, reader, access)
                continue
            for batch in batches:
                reader.send(batch)
                since = batch.last
            if since >= (room.replica.head or 0):
                room.readers.add(reader)
                return access
            if not await reader.drained():
                return access
        raise Unavailable("the room's history was replaced meanwhile")

    async def _read(self, room: _Room, after: int) -> list[EventBatch]:
        """Return what the store has after a seq that it had once. Raises QueryDenied or Unavailable."""
        answer = await self._rpc.ask(EventRange(room=room.replica.room, after=after, limit=RANGE_LIMIT), Range)
        self._expect(room, answer.epoch)
        if not answer.events or answer.events[0]["seq"] != after + 1:
            if answer.head <= after:
                room.replica.ends_at(answer.head)  # what was said to be there is not
            raise Unavailable(f"the store has nothing after seq {after}")
        number = max((event["number"] for event in answer.events if "number" in event), default=room.replica.number)
        return packs(shown(room.replica.room), answer.events, number)

    def _mend(self, room: _Room) -> None:
        """Start reading what the replica misses, unless that is under way."""
        if room.replica.behind and _is_over(room.repairing):
            room.repairing = room.work.start(self._repair(room))

    async def _repair(self, room: _Room) -> None:
        waits = backoff()
        tries = 0
        while room.replica.behind and tries < REPAIR_TRIES:
            try:
                batches = await self._read(room, room.replica.head or 0)
                metrics.HOLES.inc()
                for batch in batches:
                    self._fan_out(room, room.replica.offer(batch))
            except (Unavailable, QueryDenied) as error:
                tries += 1
                log.warning("hole not filled", extra={"room": room.replica.room, "error": str(error)})
                await pause(next(waits))
        self._fan_out(room, [])

    async def _sweep(self) -> None:
        """Let go of rooms that nobody reads any more."""
        async for room in unhurried(self._rooms.values()):
            unused = not room.readers and not room.joining
            if unused and room.idle:
                self._drop(room)
            room.idle = unused
        await self.feed.queue.tidy()

    async def _compare_doubtful(self) -> None:
        """Compare the heads that are to be compared. Raises QueryDenied or Unavailable: then the rest is, still."""
        while self._doubtful:
            names = list(itertools.islice(self._doubtful, RANGE_LIMIT))
            answer = await self._rpc.ask(Heads(rooms=names), HeadsAnswer)
            for name in names:
                self._doubtful.pop(name, None)
                room, head = self._rooms.get(name), answer.heads.get(name)
                if room is not None and room.replica.head is not None and head is not None:
                    with contained("room", lambda room=room: self._give_up(room), room=name):  # type: ignore[misc]
                        self._compare(room, answer.epoch, head)
        self._doubts.clear()

    def _compare(self, room: _Room, epoch: str, head: Head) -> None:
        if room.replica.epoch != epoch:
            self._restart(room, epoch, head.head, head.number)
        room.replica.note(head.head)
        self._mend(room)

    def _restart(self, room: _Room, epoch: str, head: int, number: int) -> None:
        """The store is another than before: what the readers have of this room counts no more."""
        log.warning("epoch changed", extra={"room": room.replica.room, "epoch": epoch})
        metrics.EPOCHS.inc()
        self._buffers.forget(room.replica)
        replica = room.replica = RoomReplica(room.replica.room, self._buffers)
        room.last_end = head
        room.standings.restart()
        self._fan_out(room, replica.load(epoch, head, number))
        room.suspended |= room.readers
        room.readers.clear()
        if _is_over(room.readmitting):
            room.readmitting = room.work.start(self._readmit(room))

    async def _readmit(self, room: _Room) -> None:
        """Let those who read before the epoch changed read on, if they may there too."""
        while room.suspended:
            reader = next(iter(room.suspended))
            try:
                access = await self._still(room, reader, await self._ask(room.replica.room, reader.user))
            except (QueryDenied, Unavailable) as error:
                log.info("not readmitted", extra={"room": room.replica.room, "error": str(error)})
                if reader in room.suspended:
                    self._expel(room, reader, Left(room=shown(room.replica.room), because="access"))
            else:
                if reader in room.suspended:
                    room.readers.add(reader)
                    reader.tell(_joined(room.replica, access, reset=True))
                    room.standings.admit(reader, access)
            room.suspended.discard(reader)


def _is_over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take note of how a task ended that nobody may wait for."""
    if not task.cancelled():
        task.exception()


def _joined(replica: RoomReplica, access: Access, *, reset: bool) -> Joined:
    return Joined(
        room=shown(replica.room),
        epoch=replica.epoch,
        head=replica.head or 0,
        number=replica.number,
        read=access.read,
        reset=reset,
    )


def _trace(room: _Room, batches: Iterable[EventBatch]) -> None:
    for batch in batches:
        for identity, seq in identities(batch):
            detail = {"correlation_id": identity, "room": room.replica.room, "seq": seq, "readers": len(room.readers)}
            log.debug("fan-out", extra=detail)
