"""The rooms that somebody here follows: batches of events come in by room, and go to the room they belong to."""

import asyncio
import logging

from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.queries import Access, Head
from warren.contract.wire import utc_now
from warren.supervise import contained, failed, retrieve

from warren_gateway import metrics
from warren_gateway.broker.event_consumer import EventConsumer
from warren_gateway.delivery.batch import EventBatch
from warren_gateway.delivery.cooperative import cooperatively
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.access import may_write
from warren_gateway.rooms.admission import Admission
from warren_gateway.rooms.head_lookup import HeadLookup
from warren_gateway.rooms.heads import HeadComparison
from warren_gateway.rooms.repair import Repair
from warren_gateway.rooms.replica import ReplayBuffers, RoomReplica
from warren_gateway.rooms.room import Room
from warren_gateway.rooms.subscription import Subscription

log = logging.getLogger(__name__)


class RoomRegistry:
    """All rooms of one gateway. `replay_bytes`: what their replay buffers hold together."""

    def __init__(self, rpc: RpcClient, presence: PresenceClient, replay_bytes: int) -> None:
        self._presence = presence
        presence.audience = self
        self._rooms: dict[str, Room] = {}
        self._buffers = ReplayBuffers(replay_bytes)
        self.heads = HeadComparison(rpc, self._rooms, self._compare)
        self.events = EventConsumer(self._take, self.heads.doubt, self.heads.doubt_all, self._rooms)
        self._repair = Repair(rpc, self.heads.doubt)
        self._admission = Admission(rpc, self._repair)
        self._head_lookup = HeadLookup(rpc)

    @property
    def replay_bytes(self) -> int:
        """What is kept of the latest events of all rooms, for those who come back."""
        return self._buffers.bytes

    async def join(self, subscription: Subscription, since: int | None, epoch: str | None) -> None:
        """Put a subscription in force, after replaying what its subscriber missed.

        Raises QueryDenied, SubscriptionEnded or Unavailable. From the moment it is active, every event goes to the
        subscriber, and its last one is the replica's head.
        """
        name, user = subscription.room, subscription.user
        access = self._remembered(name, user, since) or await self._admission.ask(name, user)
        room = self._room(name)
        room.subscriptions.add(subscription)
        try:
            await self._loaded(room)
            await self._admission.admit(room, subscription, access, since, epoch)
        finally:
            if not subscription.active and not subscription.suspended:
                room.subscriptions.discard(subscription)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription, whether it is in force or not."""
        subscription.pause()
        room = self._rooms.get(subscription.room)
        if room is not None:
            room.remove(subscription)

    def knows(self, name: str, user: str, since: int | None) -> bool:
        """Whether the store need not be asked what somebody is in a room, or what came after this place."""
        return self._remembered(name, user, since) is not None and self._rooms[name].replica.reaches(since or 0)

    async def access(self, name: str, user: str) -> Access:
        """Return what somebody may do in a room. Raises QueryDenied or Unavailable."""
        room = self._rooms.get(name)
        known = None if room is None else room.access_cache.remembered(user, room.last_revocation)
        return known or await self._admission.ask(name, user)

    async def may_write(self, name: str, user: str) -> bool:
        """Return whether somebody may write in a room now. Raises Unavailable."""
        try:
            return may_write(await self.access(name, user), utc_now())
        except QueryDenied:
            return False

    def members(self, name: str) -> list[Subscriber]:
        """Return who follows a room as its member."""
        room = self._rooms.get(name)
        return [] if room is None else [one.subscriber for one in room.subscriptions if one.present]

    async def compare_heads(self, every: float) -> None:
        """Compare all heads with the store's every so many seconds and after each reconnect, until cancelled.

        Rooms that nobody follows any more go then, too.
        """
        await self.heads.run(every, self._sweep)

    def _room(self, name: str) -> Room:
        found = self._rooms.get(name)
        if found is not None:
            return found

        async def ask(subscription: Subscription) -> Access:
            return await self._admission.ask_current(room, subscription.user)

        replica = RoomReplica(name, self._buffers)
        room = self._rooms[name] = Room(replica, self._presence, ask, lambda: self._give_up(room))
        self.events.queue.follow(name)
        metrics.ROOMS.set(len(self._rooms))
        return room

    def _drop(self, room: Room) -> None:
        """Follow a room no more."""
        name = room.name
        if self._rooms.get(name) is room:
            del self._rooms[name]
            self.heads.forget(name)
            self.events.queue.unfollow(name)
            metrics.ROOMS.set(len(self._rooms))
        self._buffers.forget(room.replica)
        room.work.cancel()

    def _give_up(self, room: Room) -> None:
        """Something has failed that nobody foresaw, so nobody knows what the room's readers have: they join anew."""
        log.warning("room given up", extra={"room": room.name, "readers": len(room.subscriptions)})
        self._drop(room)
        room.give_up()

    def _remembered(self, name: str, user: str, since: int | None) -> Access | None:
        """Return what is known of somebody who comes back, if it holds to the replica's head: polls come all the time.

        Who has seen more than the replica has does not get by with it: the store knows how far the replica has to come.
        """
        room = self._rooms.get(name)
        if room is None or since is None or since > (room.replica.head or 0):
            return None
        return room.access_cache.remembered(user, room.last_revocation)

    def _take(self, name: str, epoch: str, batch: EventBatch) -> None:
        room = self._rooms.get(name)
        if room is None:
            return
        if room.replica.epoch and room.replica.epoch != epoch:
            self.heads.doubt(name)
            return
        applied = room.replica.offer(batch)
        try:  # not `contained`, which costs more than a delivery
            room.fan_out(applied)
            if log.isEnabledFor(logging.DEBUG):
                room.trace(applied)
            self._repair.start(room)
        except Exception as error:
            failed("room", error, room=name)
            self._give_up(room)

    async def _loaded(self, room: Room) -> None:
        if room.replica.head is not None:
            return
        loading = room.loading
        if loading is None or loading.done():
            loading = room.loading = asyncio.create_task(self._load(room))
            loading.add_done_callback(retrieve)  # they may all have gone who waited for it
        await asyncio.shield(loading)

    async def _load(self, room: Room) -> None:
        """Subscribe first, then read the store, then apply what arrived meanwhile."""
        await self.events.queue.bind(room.name)
        epoch, head = await self._head_lookup.ask(room.name)
        room.last_revocation = head.head
        with contained("room", lambda: self._give_up(room), room=room.name):
            room.fan_out(room.replica.load(epoch, head.head, head.number))

    async def _sweep(self) -> None:
        """Let go of rooms that nobody follows any more."""
        async for room in cooperatively(self._rooms.values()):
            unused = not room.subscriptions
            if unused and room.idle:
                self._drop(room)
            room.idle = unused
        await self.events.queue.tidy()

    def _compare(self, room: Room, epoch: str, head: Head) -> None:
        with contained("room", lambda: self._give_up(room), room=room.name):
            if room.replica.epoch != epoch:
                self._restart(room, epoch, head)
            room.replica.note(head.head)
            self._repair.start(room)

    def _restart(self, room: Room, epoch: str, head: Head) -> None:
        """The store is another than before: who read on that one is asked about anew."""
        log.warning("epoch changed", extra={"room": room.name, "epoch": epoch})
        metrics.EPOCHS.inc()
        self._buffers.forget(room.replica)
        room.replace(RoomReplica(room.name, self._buffers), epoch, head.head, head.number)
        self._admission.readmit(room)
