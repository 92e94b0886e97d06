"""Reads, asked over the broker and judged by who asks.

`user` is the asker; None is a gateway on its own behalf, as which nobody else may ask: the broker vouches for who did.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import FailFast, Field, TypeAdapter

from warren.contract.events import Role, RoomKind
from warren.contract.ids import Cursor, RoomId, Seq, UserId
from warren.contract.wire import Timestamp, Wire

StoredEvent = dict[str, Any]
"""An event as JSON. Readers pass on what the store holds, of types that only a newer replica knows too."""

MemberState = Literal["member", "invited", "banned"]

RANGE_LIMIT = 500
"""The most events that one answer carries."""
NOTES_LIMIT = 200
"""The most events beside the messages in a page of history."""
SIGN_INS_LIMIT = 100
"""The most people in one message: below 64 KiB however their names are written."""
PAGE_LIMIT = 100
"""The most messages in a page of history, and rooms in a page of the directory."""


class Person(Wire):
    """Somebody, by id and the name they last went by."""

    user: UserId
    name: str


class RoomAccess(Wire):
    """May `user` read the room, and where does it stand? Unknown and forbidden look the same."""

    type: Literal["room.access"] = "room.access"
    room: RoomId
    user: UserId


class EventRange(Wire):
    """The events after seq `after`, at most `limit`: what fills a hole."""

    type: Literal["events"] = "events"
    room: RoomId
    user: UserId | None = None
    after: Cursor
    limit: int = Field(default=RANGE_LIMIT, ge=1, le=RANGE_LIMIT)


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


class MyRooms(Wire):
    """The rooms that `user` is a member of."""

    type: Literal["rooms"] = "rooms"
    user: UserId


class Directory(Wire):
    """Public rooms whose id sorts after `after`."""

    type: Literal["directory"] = "directory"
    user: UserId | None = None
    after: str = ""
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class Heads(Wire):
    """The heads of some rooms: how a gateway finds a tail that it lost."""

    type: Literal["heads"] = "heads"
    user: UserId | None = None
    rooms: Annotated[list[RoomId], FailFast(), Field(max_length=RANGE_LIMIT)]


class Members(Wire):
    """The people of a room in one state, by id, after `after`. Only moderators learn who is invited or banned."""

    type: Literal["members"] = "members"
    room: RoomId
    user: UserId
    state: MemberState = "member"
    after: str = Field(default="", max_length=128)
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class People(Wire):
    """People whose name or id begins with `prefix`, whatever its case."""

    type: Literal["people"] = "people"
    user: UserId
    prefix: str = Field(min_length=1, max_length=128)
    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT)


class Blocks(Wire):
    """Whom `user` has blocked, by id, after `after`."""

    type: Literal["blocks"] = "blocks"
    user: UserId
    after: str = Field(default="", max_length=128)
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class SignIns(Wire):
    """What gateways know and others do not: these people have signed in, by these names. Stored when it is answered."""

    type: Literal["sign_ins"] = "sign_ins"
    user: UserId | None = None
    people: list[Person] = Field(max_length=SIGN_INS_LIMIT)


class Acquaintance(Wire):
    """Who is `other`, if they share a room with `user`?"""

    type: Literal["acquaintance"] = "acquaintance"
    user: UserId
    other: UserId


AnyQuery = (
    RoomAccess | EventRange | History | MyRooms | Directory | Heads | Members | People | Acquaintance | Blocks | SignIns
)
Query = Annotated[AnyQuery, Field(discriminator="type")]
QUERY: TypeAdapter[AnyQuery] = TypeAdapter(Query)
QUERY_TYPES = tuple(str(query.model_fields["type"].default) for query in get_args(AnyQuery))
"""The types that persistence answers. Another service's are no part of this union, and are routed to that one."""


class Head(Wire):
    """Where a room's log ends: the seq of its last event, and how many messages there are."""

    head: int
    number: int


class Access(Wire):
    """The answer to RoomAccess: how the room stood at `head`, and what the asker may do there at that place."""

    type: Literal["access"] = "access"
    epoch: str
    kind: RoomKind
    title: str
    head: int
    number: int
    read: int
    member: bool
    role: Role | None = None
    muted: Timestamp | None = None
    """Until when the asker may not write."""
    archived: bool = False
    peer: Person | None = None
    """The other one of a direct room."""


class Range(Wire):
    """The answer to EventRange: contiguous events, `head` the end of the log when it was read."""

    type: Literal["range"] = "range"
    epoch: str
    events: list[StoredEvent]
    head: int


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


class RoomSummary(Wire):
    """A room as its member sees it in a list."""

    room: RoomId
    kind: RoomKind
    title: str
    head: int
    number: int
    read: int
    unread: int
    role: Role = "member"
    archived: bool = False
    peer: Person | None = None
    """The other one of a direct room."""
    hidden: bool = False
    """A direct room that is to be left out of lists until its next message."""
    blocked: bool = False
    """A direct room whose other one is blocked."""


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


class MemberEntry(Wire):
    """Somebody's place in a room."""

    user: UserId
    name: str
    role: Role | None = None
    muted: Timestamp | None = None
    banned: Timestamp | None = None
    """Until when; without an end the year is 9999."""


class MemberPage(Wire):
    """The answer to Members, by user id. `watched_by`: bots that read the room without being in it, as all others."""

    type: Literal["member_page"] = "member_page"
    members: list[MemberEntry]
    more: bool
    watched_by: list[UserId] = Field(default_factory=list)


class PeopleAnswer(Wire):
    """The answer to People, and to Blocks; `more`: there are further ones."""

    type: Literal["people_answer"] = "people_answer"
    people: list[Person]
    more: bool = False


class Acquainted(Wire):
    """The answer to Acquaintance: they do; `name` is what the other last went by."""

    type: Literal["acquainted"] = "acquainted"
    name: str


class Noted(Wire):
    """The answer to SignIns: it is stored."""

    type: Literal["noted"] = "noted"


class Denied(Wire):
    """The answer to a query that can't be answered to this asker."""

    type: Literal["denied"] = "denied"
    code: str
    detail: str


AnyAnswer = (
    Access | Range | Page | RoomList | DirectoryPage | HeadsAnswer | MemberPage | PeopleAnswer | Acquainted | Noted
    | Denied
)  # fmt: skip
Answer = Annotated[AnyAnswer, Field(discriminator="type")]
ANSWER: TypeAdapter[AnyAnswer] = TypeAdapter(Answer)
