"""Puts subscriptions in force: a join with its cursor comes in, `joined` and the missed events go out."""

import logging

from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.frames import REPLAY_LIMIT, Joined, Left
from warren.contract.ids import shown
from warren.contract.queries import Access, RoomAccess

from warren_gateway import metrics
from warren_gateway.delivery.batch import cut
from warren_gateway.rooms.access_lookup import AccessLookup
from warren_gateway.rooms.repair import Repair, is_over
from warren_gateway.rooms.replica import RoomReplica
from warren_gateway.rooms.room import Room
from warren_gateway.rooms.subscription import Subscription

log = logging.getLogger(__name__)

ACCESS_TRIES = 10
"""Times that an access is judged again because somebody's was revoked meanwhile."""
REPLAY_BYTES = 256 * 1024
"""What is replayed at once; the rest when the client has read that."""


class SubscriptionEnded(Exception):
    """The right to read ended between `joined` and the end of the replay."""


class Admission:
    """Who may read which room, and from where on."""

    def __init__(self, rpc: RpcClient, repair: Repair) -> None:
        self._lookup = AccessLookup(rpc)
        self._repair = repair

    async def ask(self, name: str, user: str) -> Access:
        """Ask the store what somebody is in a room. Raises QueryDenied or Unavailable."""
        return await self._lookup.ask(RoomAccess(room=name, user=user))

    async def ask_current(self, room: Room, user: str) -> Access:
        """Ask until no revocation has overtaken the answer. Raises QueryDenied or Unavailable."""
        return await self._current(room, user, await self.ask(room.name, user))

    async def admit(
        self, room: Room, subscription: Subscription, access: Access, since: int | None, epoch: str | None
    ) -> None:
        """Replay what the subscriber missed and activate. Raises QueryDenied, SubscriptionEnded or Unavailable."""
        self._repair.expect(room, access.epoch)
        await self._repair.reach(room, access.head)
        subscription.pause()
        access = await self._current(room, subscription.user, access)
        head = room.replica.head or 0
        reset = since is not None and _is_reset(room.replica, head, since, epoch)
        subscription.subscriber.send(_joined(room.replica, access, reset=reset))
        outcome = "fresh" if since is None else "reset" if reset else "resumed"
        metrics.RESUMES.labels(outcome).inc()
        try:
            access = await self._replay(room, subscription, access, head if since is None or reset else since)
        except QueryDenied as denied:
            raise SubscriptionEnded from denied
        if subscription.active:
            room.access_cache.admit(subscription, access)

    def readmit(self, room: Room) -> None:
        """Let those whose subscriptions are suspended read on, if they may still."""
        if is_over(room.readmitting):
            room.readmitting = room.work.start(self._readmit(room))

    async def _readmit(self, room: Room) -> None:
        while subscription := next((one for one in room.subscriptions if one.suspended), None):
            try:
                access = await self.ask_current(room, subscription.user)
            except (QueryDenied, Unavailable) as error:
                log.info("not readmitted", extra={"room": room.name, "error": str(error)})
                if subscription.suspended:
                    room.expel(subscription, Left(room=shown(room.name), because="access"))
            else:
                if subscription.suspended:
                    subscription.activate()
                    subscription.subscriber.send(_joined(room.replica, access, reset=True))
                    room.access_cache.admit(subscription, access)

    async def _current(self, room: Room, user: str, access: Access) -> Access:
        """Return an access judged at the last revocation or later. Raises QueryDenied or Unavailable."""
        for _ in range(ACCESS_TRIES):
            if access.head >= room.last_revocation:
                return access
            access = await self.ask(room.name, user)
            self._repair.expect(room, access.epoch)
        raise Unavailable("the room's membership changes too fast")

    async def _replay(self, room: Room, subscription: Subscription, access: Access, since: int) -> Access:
        """Send what follows `since`, piece by piece, and activate the subscription the moment nothing is missing.

        Returns the access as it was last judged.
        """
        epoch, subscriber = room.replica.epoch, subscription.subscriber
        while epoch == room.replica.epoch:
            room.check()
            batches = room.replica.replay(since, REPLAY_BYTES)
            if batches is None:
                # The store may be ahead of the replica; a reader must not be, or it would be shown those again.
                found = await self._repair.read_together(room, since)
                batches = [
                    cut(batch, room.replica.head or 0) for batch in found if batch.first <= (room.replica.head or 0)
                ]
                room.check()
            if access.head < room.last_revocation:
                # While we waited somebody lost the right to read, perhaps this one.
                access = await self._current(room, subscription.user, access)
                continue
            for batch in batches:
                subscriber.broadcast(batch)
                since = batch.last
            if since >= (room.replica.head or 0):
                subscription.activate()
                return access
            if not await subscriber.drained():
                return access
        raise Unavailable("the room's history was replaced meanwhile")


def _is_reset(replica: RoomReplica, head: int, since: int, epoch: str | None) -> bool:
    return epoch not in (None, replica.epoch) or since > head or head - since > REPLAY_LIMIT


def _joined(replica: RoomReplica, access: Access, *, reset: bool) -> Joined:
    return Joined(
        room=shown(replica.room),
        epoch=replica.epoch,
        head=replica.head or 0,
        number=replica.number,
        read=access.read,
        reset=reset,
    )
