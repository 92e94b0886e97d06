"""A room as the writer knows it at its head, and what an event changes in it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from warren.contract import events as e
from warren.contract.bots import bot_name
from warren.contract.events import AnyEvent as LogEvent
from warren.contract.ids import is_inbox

__all__ = ["FOREVER", "NOBODY", "LogEvent", "Membership", "Room", "apply", "member_changes", "room_changes"]

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of a ban or mute that has none."""
State = Literal["none", "invited", "member", "banned"]


@dataclass(frozen=True, slots=True)
class Membership:
    """What somebody is to a room."""

    state: State = "none"
    role: e.Role | None = None
    until: datetime | None = None
    """The end of the ban."""
    muted: datetime | None = None
    """The end of the mute; it outlasts the membership."""
    unasked: datetime | None = None
    """In a direct room: when the other one opened it. Such a room does not count as one of theirs."""
    hidden: int | None = None
    """To an inbox: how many messages the direct room with them had when its owner hid it."""

    def at(self, now: datetime) -> "Membership":
        """Return it without a ban or mute that has ended by `now`."""
        if self.until is None and self.muted is None:
            return self
        muted = self.muted if self.muted is not None and now < self.muted else None
        if self.state == "banned" and self.until is not None and now >= self.until:
            return Membership(muted=muted)
        return replace(self, muted=muted)


NOBODY = Membership()


@dataclass(slots=True)
class Room:
    """The state that the next command is judged by. `head` 0: nothing has happened there yet."""

    name: str
    head: int = 0
    number: int = 0
    """How many messages (in an inbox: notices) the log holds up to its head."""
    kind: e.RoomKind = "public"
    title: str = ""
    archived: bool = False
    owners: int = 0
    members: dict[str, Membership] = field(default_factory=dict)
    """Of those that have been looked up."""
    bots: frozenset[str] = frozenset()
    """The names of all bots among the members."""
    pair: tuple[str, str] | None = None
    """The two of a direct room: who opened it first."""

    def __post_init__(self) -> None:
        if is_inbox(self.name):
            self.kind = "inbox"

    def membership(self, user: str, now: datetime) -> Membership:
        """Return what `user` is to the room at `now`."""
        return self.members.get(user, NOBODY).at(now)

    def other(self, user: str) -> str:
        """Return the other one of a direct room."""
        return next((one for one in self.pair or () if one != user), user)


def apply(room: Room, event: LogEvent) -> None:
    """Advance the room by the event that follows its head."""
    room.head = event.seq
    if isinstance(event, e.Message | e.Notice):
        room.number = event.number
        return
    for name, value in room_changes(event).items():
        setattr(room, name, value)
    for user, changes in member_changes(event).items():
        before = room.members.get(user, NOBODY)
        after = room.members[user] = replace(before, **changes)
        room.owners += (after.role == "owner") - (before.role == "owner")
        if bot := bot_name(user):
            room.bots = room.bots | {bot} if after.state == "member" else room.bots - {bot}


def room_changes(event: LogEvent) -> dict[str, Any]:
    """Return what the event makes of the room: new values of fields of `Room`."""
    match event:
        case e.RoomCreated():
            pair = {} if event.user is None else {"pair": (event.sender, event.user)}
            return {"kind": event.kind, "title": event.title, "archived": False, **pair}
        case e.RoomRenamed():
            return {"title": event.title}
        case e.RoomArchived():
            return {"archived": True}
        case e.RoomRestored():
            return {"archived": False}
    return {}


def member_changes(event: LogEvent) -> dict[str, dict[str, Any]]:
    """Return what the event makes of people: new values of fields of their `Membership`, by user."""
    match event:
        case e.RoomCreated(kind="direct", user=str(other)):
            return {event.sender: _member("member"), other: {**_member("member"), "unasked": event.at}}
        case e.RoomCreated():
            return {event.sender: _member("owner")}
        case e.MemberJoined():
            return {event.user: _member("member")}
        case e.MemberLeft() | e.MemberRemoved() | e.MemberUnbanned():
            return {event.user: _outside("none")}
        case e.MemberInvited():
            return {event.user: _outside("invited")}
        case e.MemberBanned():
            return {event.user: _outside("banned", event.until or FOREVER)}
        case e.MemberMuted():
            return {event.user: {"muted": event.until or FOREVER}}
        case e.MemberUnmuted():
            return {event.user: {"muted": None}}
        case e.RoleChanged():
            return {event.user: {"role": event.role}}
        case e.PersonBlocked():
            return {event.user: _outside("banned", FOREVER)}
        case e.PersonUnblocked():
            return {event.user: _outside("none")}
        case e.DirectHidden():
            return {event.user: {"hidden": event.upto}}
        case e.DirectShown():
            return {event.user: {"hidden": None}}
    return {}


def _member(role: e.Role) -> dict[str, Any]:
    return {"state": "member", "role": role, "until": None}


def _outside(state: State, until: datetime | None = None) -> dict[str, Any]:
    return {"state": state, "role": None, "until": until}
