"""Which rooms there are, who is in them, and what one may do there."""

from typing import Annotated, Literal

from pydantic import FailFast, Field

from warren.contract.events import Role, RoomKind
from warren.contract.ids import RoomId, UserId
from warren.contract.queries.denied import Denied
from warren.contract.queries.limits import ACCESSES_LIMIT, PAGE_LIMIT
from warren.contract.queries.people import Person
from warren.contract.wire import Timestamp, Wire

MemberState = Literal["member", "invited", "banned"]


class RoomAccess(Wire):
    """May `user` read the room, and where does it stand? Unknown and forbidden look the same."""

    type: Literal["room.access"] = "room.access"
    room: RoomId
    user: UserId


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


class RoomAccesses(Wire):
    """What people may do in rooms, asked by a gateway on its own behalf. A replica of an older version denies it."""

    type: Literal["room.accesses"] = "room.accesses"
    user: UserId | None = None
    queries: Annotated[list[RoomAccess], FailFast(), Field(max_length=ACCESSES_LIMIT)]


class Accesses(Wire):
    """The answer to RoomAccesses: to each what it would be answered alone, in the same order."""

    type: Literal["accesses"] = "accesses"
    answers: list[Annotated[Access | Denied, Field(discriminator="type")]]


class MyRooms(Wire):
    """The rooms that `user` is a member of."""

    type: Literal["rooms"] = "rooms"
    user: UserId


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


class Directory(Wire):
    """Public rooms whose id sorts after `after`."""

    type: Literal["directory"] = "directory"
    user: UserId | None = None
    after: str = ""
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class DirectoryEntry(Wire):
    """A public room as anybody sees it."""

    room: RoomId
    title: str


class DirectoryPage(Wire):
    """The answer to Directory."""

    type: Literal["directory_page"] = "directory_page"
    rooms: list[DirectoryEntry]
    more: bool


class Members(Wire):
    """The people of a room in one state, by id, after `after`. Only moderators learn who is invited or banned."""

    type: Literal["members"] = "members"
    room: RoomId
    user: UserId
    state: MemberState = "member"
    after: str = Field(default="", max_length=128)
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


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
