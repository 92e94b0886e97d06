"""What the readers of a room may do there besides reading, kept up with the events that change it."""

import itertools
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract.codes import Code
from warren.contract.queries import Access, Denied
from warren.supervise import Tasks

from warren_gateway.delivery.batch import EVERYBODY, AccessChange
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.subscription import Subscription

log = logging.getLogger(__name__)

CHANGES = 100
"""Changes of what somebody may do that are kept for those who are about to read: more than come while one joins."""
REMEMBERED = 1_000
"""People of one room whose access is kept after they have gone, some 500 KB."""
TRIES = 10
"""Questions in vain before somebody's access is left as it was."""

Ask = Callable[[Subscription], Awaitable[Access]]
"""Asks what somebody is in the room now. Raises QueryDenied or Unavailable."""


class AccessCache:
    """Keeps the access of each of a room's subscriptions up to date. Members among the subscribers are present in it.

    The writer decides what people do to the log; this is for what is ephemeral.
    """

    def __init__(
        self, room: str, subscriptions: Iterable[Subscription], presence: PresenceClient, ask: Ask, work: Tasks
    ) -> None:
        self._room = room
        self._subscriptions = subscriptions
        self._work = work
        self._presence = presence
        self._ask = ask
        self._remembered: OrderedDict[str, Access] = OrderedDict()
        self._changes: deque[AccessChange] = deque(maxlen=CHANGES)
        self._last_change = 0

    def remembered(self, user: str, since: int) -> Access | None:
        """Return somebody's access as of their last visit, if that was at `since` or later and nothing changed."""
        access = self._remembered.get(user)
        return access if access is not None and access.head >= max(since, self._last_change) else None

    def admit(self, subscription: Subscription, access: Access) -> None:
        """Somebody has become a reader, with this access."""
        self._grant(subscription, access)
        if any(seq > access.head and user in (subscription.user, EVERYBODY) for seq, user, _ in self._changes):
            self._refresh(subscription)  # it came while they were no reader yet

    def drop(self, subscription: Subscription, *, revoked: bool = False) -> None:
        """Somebody reads no more; `revoked`: because they may not."""
        subscription.access = None
        if subscription.present:
            subscription.present = False
            self._presence.exit(self._room, subscription.subscriber, revoked=revoked)

    def change(self, changes: tuple[AccessChange, ...]) -> None:
        """What somebody may do has changed, or what everybody may."""
        self._changes += changes
        self._last_change = max(seq for seq, _, _ in changes)
        if archived := [kind == "room.archived" for _, user, kind in changes if user == EVERYBODY]:
            for subscription in self._subscriptions:
                if subscription.access is not None:
                    subscription.access = subscription.access.model_copy(update={"archived": archived[-1]})
        users = {user for _, user, _ in changes}
        for subscription in self._subscriptions:
            if subscription.access is not None and subscription.user in users:
                self._refresh(subscription)

    def restart(self) -> None:
        """The log is another than before."""
        self._changes.clear()
        self._remembered.clear()
        self._last_change = 0

    def _grant(self, subscription: Subscription, access: Access) -> None:
        subscription.access = self._remembered[subscription.user] = access
        self._remembered.move_to_end(subscription.user)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        if access.member and access.kind != "inbox":
            subscription.present = True
            self._presence.enter(self._room, subscription.subscriber)

    def _refresh(self, subscription: Subscription) -> None:
        self._work.start(self._ask_again(subscription))

    async def _ask_again(self, subscription: Subscription) -> None:
        for wait in itertools.islice(backoff(), TRIES):
            try:
                access = await self._ask(subscription)
            except QueryDenied:
                return  # the end of their reading is an event, too
            except Unavailable as error:
                log.info("access unknown", extra={"room": self._room, "error": str(error)})
                await pause(wait)
            else:
                before = subscription.access
                if before is not None and before.head <= access.head:
                    self._grant(subscription, access)
                return


def may_write(access: Access, now: datetime) -> bool:
    """Whether somebody with this access may write."""
    muted = access.muted is not None and now < access.muted
    return access.member and not muted and not access.archived


def check_may_type(access: Access | None, now: datetime) -> None:
    """Raises QueryDenied if somebody with this access may not be shown typing: only who may write may."""
    if access is None or not may_write(access, now):
        raise QueryDenied(Denied(code=Code.FORBIDDEN, detail="only who may write there may type"))
