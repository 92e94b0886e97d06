"""A room that somebody here follows: batches of events come in, and go out to each active subscription."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from warren.broker.errors import Unavailable
from warren.contract.frames import Left
from warren.contract.ids import shown
from warren.supervise import Tasks, contained

from warren_gateway import metrics
from warren_gateway.delivery.batch import EventBatch, cut, identities
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.access import AccessCache, Ask
from warren_gateway.rooms.replica import RoomReplica
from warren_gateway.rooms.subscription import Subscription

log = logging.getLogger(__name__)


class Room:
    """A room's replica, its subscriptions, and the work on it; `give_up` is called when that has failed."""

    def __init__(self, replica: RoomReplica, presence: PresenceClient, ask: Ask, give_up: Callable[[], None]) -> None:
        self.replica = replica
        self.subscriptions: set[Subscription] = set()
        """Those that are in force, and those that are about to be."""
        self.work = Tasks("room", give_up)
        self.access_cache = AccessCache(replica.room, self.subscriptions, presence, ask, self.work)
        self.last_revocation = 0
        """The seq of the last event after which somebody may no longer read: an access judged before that is worth
        nothing."""
        self.idle = False
        """Nobody followed it at the last sweep; if so at the next one too, it goes."""
        self.given_up = False
        self.loading: asyncio.Task[None] | None = None
        self.repairing: asyncio.Task[None] | None = None
        self.reading: dict[int, asyncio.Task[list[EventBatch]]] = {}
        """What is being read for replays, by the seq after which it begins."""
        self.readmitting: asyncio.Task[None] | None = None
        self.moved = asyncio.Event()
        """Set and replaced when the head moves, a repair gives up or the room is given up."""
        self._presence = presence

    @property
    def name(self) -> str:
        """What the room is called between the services."""
        return self.replica.room

    def wake(self) -> None:
        """Have all who wait look again."""
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def check(self) -> None:
        """Raises Unavailable if it was given up while somebody waited for something."""
        if self.given_up:
            raise Unavailable("the room is read anew")

    def fan_out(self, batches: Iterable[EventBatch]) -> None:
        """Broadcast what follows the head to the active subscriptions, after what it revokes."""
        for batch in batches:
            if batch.revocations:
                self._revoke(batch)
            for subscription in tuple(self.subscriptions):
                if subscription.active:
                    subscription.subscriber.broadcast(batch)
            if batch.access_changes:
                self.access_cache.change(batch.access_changes)
        self.wake()

    def trace(self, batches: Iterable[EventBatch]) -> None:
        """Log each event that was fanned out."""
        readers = sum(subscription.active for subscription in self.subscriptions)
        for batch in batches:
            for identity, seq in identities(batch):
                detail = {"correlation_id": identity, "room": self.name, "seq": seq, "readers": readers}
                log.debug("fan-out", extra=detail)

    def expel(self, subscription: Subscription, why: Left) -> None:
        """End a subscription because its person may not read."""
        self.remove(subscription, revoked=True)
        subscription.subscriber.subscription_ended(why)

    def remove(self, subscription: Subscription, *, revoked: bool = False) -> None:
        """End a subscription; `revoked`: because its person may not read."""
        self.subscriptions.discard(subscription)
        subscription.pause()
        self.access_cache.drop(subscription, revoked=revoked)

    def replace(self, replica: RoomReplica, epoch: str, head: int, number: int) -> None:
        """Begin again with another log: what the subscribers have of this room counts no more."""
        self.replica = replica
        self.last_revocation = head
        self.access_cache.restart()
        self.fan_out(replica.load(epoch, head, number))
        for subscription in self.subscriptions:
            subscription.suspend()

    def give_up(self) -> None:
        """End all subscriptions so that the subscribers ask for them again: nobody knows what they have."""
        self.given_up = True
        for subscription in tuple(self.subscriptions):
            if subscription.active or subscription.suspended:
                with contained("connection"):
                    self.remove(subscription)
                    subscription.subscriber.subscription_lost(shown(self.name))
        self.wake()

    def _revoke(self, batch: EventBatch) -> None:
        """Broadcast to those whose reading ends in this batch what goes before, and the end itself, and no more."""
        self.last_revocation = batch.revocations[-1][0]
        first = {user: (seq, kind) for seq, user, kind in reversed(batch.revocations)}
        for user in first:
            self._presence.revoke(self.name, user)
        for subscription in tuple(self.subscriptions):
            if subscription.active and subscription.user in first:
                seq, kind = first[subscription.user]
                subscription.subscriber.broadcast(cut(batch, seq))
                self.expel(subscription, Left(room=shown(self.name), seq=seq, because=kind))
                metrics.ENDED.inc()
