"""What the readers of a room may do there besides reading, kept up with the events that change it."""

import itertools
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract.queries import Access
from warren.supervise import Tasks

from warren_gateway.delivery.batch import EVERYBODY, PermissionChange
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.presence.client import PresenceClient

log = logging.getLogger(__name__)

TURNS = 100
"""Changes of what somebody may do that are kept for those who are about to read: more than come while one joins."""
REMEMBERED = 1_000
"""People of one room whose standing is kept after they have gone, some 500 KB."""
TRIES = 10
"""Questions in vain before somebody's standing is left as it was."""

Ask = Callable[[Subscriber], Awaitable[Access]]
"""Asks how somebody stands now. Raises QueryDenied or Unavailable."""


class PermissionCache:
    """How each reader of one room was last known to stand. Members among them are present in it.

    The writer judges what people do to the log; this is for what does not last.
    """

    def __init__(self, room: str, live: PresenceClient, ask: Ask, work: Tasks) -> None:
        self._room = room
        self._work = work
        self._live = live
        self._ask = ask
        self._known: dict[Subscriber, Access] = {}
        self._remembered: OrderedDict[str, Access] = OrderedDict()
        self._turns: deque[PermissionChange] = deque(maxlen=TURNS)
        self._last_turn = 0

    def get(self, reader: Subscriber) -> Access | None:
        """Return how somebody stands; None if they do not read."""
        return self._known.get(reader)

    def remembered(self, user: str, since: int) -> Access | None:
        """Return how somebody stood the last time they came, if that was at `since` or later and nothing changed."""
        access = self._remembered.get(user)
        return access if access is not None and access.head >= max(since, self._last_turn) else None

    def admit(self, reader: Subscriber, access: Access) -> None:
        """Somebody has become a reader, who stood so."""
        self._stand(reader, access)
        if any(seq > access.head and user in (reader.user, EVERYBODY) for seq, user, _ in self._turns):
            self._ask_again(reader)  # it came while they were no reader yet

    def drop(self, reader: Subscriber, *, ended: bool = False) -> None:
        """Somebody reads no more; `ended`: because they may not."""
        self._known.pop(reader, None)
        self._live.exit(self._room, reader, ended=ended)

    def turn(self, turns: tuple[PermissionChange, ...]) -> None:
        """What somebody may do has changed, or what everybody may."""
        self._turns += turns
        self._last_turn = max(seq for seq, _, _ in turns)
        if archived := [kind == "room.archived" for _, user, kind in turns if user == EVERYBODY]:
            for reader, access in self._known.items():
                self._known[reader] = access.model_copy(update={"archived": archived[-1]})
        users = {user for _, user, _ in turns}
        for reader in self._known:
            if reader.user in users:
                self._ask_again(reader)

    def restart(self) -> None:
        """The log is another than before."""
        self._turns.clear()
        self._remembered.clear()
        self._last_turn = 0

    def _stand(self, reader: Subscriber, access: Access) -> None:
        self._known[reader] = self._remembered[reader.user] = access
        self._remembered.move_to_end(reader.user)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        if access.member and access.kind != "inbox":
            self._live.enter(self._room, reader)

    def _ask_again(self, reader: Subscriber) -> None:
        self._work.start(self._judge(reader))

    async def _judge(self, reader: Subscriber) -> None:
        for wait in itertools.islice(backoff(), TRIES):
            try:
                access = await self._ask(reader)
            except QueryDenied:
                return  # the end of their reading is an event, too
            except Unavailable as error:
                log.info("standing not known", extra={"room": self._room, "error": str(error)})
                await pause(wait)
            else:
                before = self._known.get(reader)
                if before is not None and before.head <= access.head:
                    self._stand(reader, access)
                return


def may_write(access: Access, now: datetime) -> bool:
    """Whether somebody who stands so may say something."""
    muted = access.muted is not None and now < access.muted
    return access.member and not muted and not access.archived
