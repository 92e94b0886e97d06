"""Reads, asked over the broker and judged by who asks: `user` is the asker, None a gateway on its own behalf."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from warren.contract.events import RoomKind
from warren.contract.ids import Cursor, RoomId, Seq, UserId
from warren.contract.wire import Wire

StoredEvent = dict[str, Any]
"""An event as JSON. Readers pass on what the store holds, of types that only a newer replica knows too."""

RANGE_LIMIT = 500
"""The most events that one answer carries."""
PAGE_LIMIT = 100
"""The most messages in a page of history, and rooms in a page of the directory."""


class RoomAccess(Wire):
    """May `user` read the room, and where does it stand? Unknown and forbidden look the same."""

    type: Literal["room.access"] = "room.access"
    room: RoomId
    user: UserId


class EventRange(Wire):
    """The events after seq `after`, at most `limit`: what fills a hole."""

    type: Literal["events"] = "events"
    room: RoomId
    after: Cursor
    limit: int = Field(default=RANGE_LIMIT, ge=1, le=RANGE_LIMIT)


class History(Wire):
    """The room's messages before or after a seq (not both), in their present state."""

    type: Literal["history"] = "history"
    room: RoomId
    user: UserId
    before: Seq | None = None
    after: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=PAGE_LIMIT)


class MyRooms(Wire):
    """The rooms that `user` is a member of."""

    type: Literal["rooms"] = "rooms"
    user: UserId


class Directory(Wire):
    """Public rooms whose id sorts after `after`."""

    type: Literal["directory"] = "directory"
    after: str = ""
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class Heads(Wire):
    """The heads of some rooms: how a gateway finds a tail that it lost."""

    type: Literal["heads"] = "heads"
    rooms: list[RoomId] = Field(max_length=RANGE_LIMIT)


Query = Annotated[RoomAccess | EventRange | History | MyRooms | Directory | Heads, Field(discriminator="type")]
QUERY: TypeAdapter[RoomAccess | EventRange | History | MyRooms | Directory | Heads] = TypeAdapter(Query)


class Head(Wire):
    """Where a room's log ends: the seq of its last event, and how many messages there are."""

    head: int
    number: int


class Access(Wire):
    """The answer to RoomAccess."""

    type: Literal["access"] = "access"
    epoch: str
    kind: RoomKind
    title: str
    head: int
    number: int
    read: int
    member: bool


class Range(Wire):
    """The answer to EventRange: contiguous events, `head` the end of the log when it was read."""

    type: Literal["range"] = "range"
    epoch: str
    events: list[StoredEvent]
    head: int


class Page(Wire):
    """The answer to History: newest last; `more` says whether there are further messages in that direction."""

    type: Literal["page"] = "page"
    messages: list[StoredEvent]
    more: bool


class RoomSummary(Wire):
    """A room as its member sees it in a list."""

    room: RoomId
    kind: RoomKind
    title: str
    head: int
    number: int
    read: int
    unread: int


class RoomList(Wire):
    """The answer to MyRooms."""

    type: Literal["room_list"] = "room_list"
    rooms: list[RoomSummary]


class DirectoryEntry(Wire):
    """A public room as anybody sees it."""

    room: RoomId
    title: str


class DirectoryPage(Wire):
    """The answer to Directory."""

    type: Literal["directory_page"] = "directory_page"
    rooms: list[DirectoryEntry]
    more: bool


class HeadsAnswer(Wire):
    """The answer to Heads; rooms that do not exist are missing."""

    type: Literal["heads_answer"] = "heads_answer"
    epoch: str
    heads: dict[RoomId, Head]


class Denied(Wire):
    """The answer to a query that can't be answered to this asker."""

    type: Literal["denied"] = "denied"
    code: str
    detail: str


Answer = Annotated[Access | Range | Page | RoomList | DirectoryPage | HeadsAnswer | Denied, Field(discriminator="type")]
ANSWER: TypeAdapter[Access | Range | Page | RoomList | DirectoryPage | HeadsAnswer | Denied] = TypeAdapter(Answer)
