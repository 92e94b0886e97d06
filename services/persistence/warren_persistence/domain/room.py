"""A room as the writer knows it at its head: what the next command is judged by."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from warren.contract import events as e
from warren.contract.events import AnyEvent as LogEvent
from warren.contract.ids import is_inbox

__all__ = ["FOREVER", "NOBODY", "LogEvent", "Membership", "Room", "inside", "outside"]

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


def inside(role: e.Role) -> dict[str, Any]:
    """Return the fields of a membership that begins."""
    return {"state": "member", "role": role, "until": None}


def outside(state: State, until: datetime | None = None) -> dict[str, Any]:
    """Return the fields of a membership that ends, or has not begun."""
    return {"state": state, "role": None, "until": until}


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
