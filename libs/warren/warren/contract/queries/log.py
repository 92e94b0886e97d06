"""What stands in a room's log: its events, pages of its messages, and where it ends."""

from typing import Annotated, Any, Literal

from pydantic import FailFast, Field

from warren.contract.ids import Cursor, RoomId, Seq, UserId
from warren.contract.queries.limits import PAGE_LIMIT, RANGE_LIMIT
from warren.contract.wire import Wire

StoredEvent = dict[str, Any]
"""An event as JSON. Readers pass on what the store holds, of types that only a newer replica knows too."""


class EventRange(Wire):
    """The events after seq `after`, at most `limit`: what fills a gap."""

    type: Literal["events"] = "events"
    room: RoomId
    user: UserId | None = None
    after: Cursor
    limit: int = Field(default=RANGE_LIMIT, ge=1, le=RANGE_LIMIT)


class Range(Wire):
    """The answer to EventRange: contiguous events, `head` the end of the log when it was read."""

    type: Literal["range"] = "range"
    epoch: str
    events: list[StoredEvent]
    head: int


class History(Wire):
    """The room's messages before or after a seq (not both), in their present state.

    With `notes` also what else happened in that stretch of the log.
    """

    type: Literal["history"] = "history"
    room: RoomId
    user: UserId
    before: Seq | None = None
    after: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=PAGE_LIMIT)
    notes: bool = False


class Page(Wire):
    """The answer to History: newest last; `more` says whether there are further messages in that direction.

    `at`: the head at which it was read. Events after it, applied to the page, give what the room is later; those up to
    it are in the page already. A replica of an older version does not say it.
    `notes`: the newest of the other events between the page's ends, NOTES_LIMIT at most. `notes_cut`: older ones of
    them were left out; EventRange has them.
    """

    type: Literal["page"] = "page"
    messages: list[StoredEvent]
    more: bool
    at: Cursor | None = None
    notes: list[StoredEvent] = Field(default_factory=list)
    notes_cut: bool = False


class Heads(Wire):
    """The heads of some rooms: how a gateway finds a tail that it lost."""

    type: Literal["heads"] = "heads"
    user: UserId | None = None
    rooms: Annotated[list[RoomId], FailFast(), Field(max_length=RANGE_LIMIT)]


class Head(Wire):
    """Where a room's log ends: the seq of its last event, and how many messages there are."""

    head: int
    number: int


class HeadsAnswer(Wire):
    """The answer to Heads; rooms that do not exist are missing."""

    type: Literal["heads_answer"] = "heads_answer"
    epoch: str
    heads: dict[RoomId, Head]
