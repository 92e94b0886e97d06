"""What lasts in a room. A room is one log of these, with seq 1, 2, 3 … and no gap."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, TypeAdapter

from warren.contract.ids import Cursor, Key, RoomId, Seq, StoredLine, StoredText, UserId
from warren.contract.wire import Timestamp, Wire

NewRoomKind = Literal["public", "private"]
"""What people make by hand. Everybody may read a public room and join it; a private one is its members' alone."""
RoomKind = Literal["public", "private", "direct", "inbox"]
"""`direct`: of two people, for ever. `inbox`: what befalls one person, written by the service alone."""
Role = Literal["owner", "moderator", "member"]
"""Most powerful first."""


class _Event(Wire):
    """An event: its place in the log, who made it when, and what it says.

    A new type is a model here, the command that becomes it (`warren.contract.commands`), and an entry in the registry
    of the persistence service (`warren_persistence.domain.events`). Every other part reads of it what stands here.
    """

    numbered: ClassVar[bool] = False
    """Whether it counts as something to read."""
    ends_reading: ClassVar[bool] = False
    """Whether `user` is shown nothing more after it, unless they come back."""
    changes_access: ClassVar[bool] = False
    """Whether `user`, or everybody, may do more or less after it than before, and reads on."""
    derived: ClassVar[frozenset[str]] = frozenset()
    """Fields that follow from the room's state or from other fields, and so are not part of what was said."""

    seq: Seq
    id: str
    """The id of the command that made the event: it follows a message from the frame to the fan-out."""
    sender: UserId
    name: str
    key: Key
    at: Timestamp


class TargetedEvent(_Event):
    """An event about `user`, who may be the sender."""

    user: UserId


class InboxEvent(_Event):
    """An event of an inbox room by which its owner, the sender, decides about `user`, who is told nothing of it."""

    user: UserId


class Message(_Event):
    """Somebody said something. `number` counts the room's messages alone: unread = head number - read number."""

    numbered = True
    type: Literal["message"] = "message"
    number: Seq
    text: StoredText
    reply_to: Seq | None = None


class RoomCreated(_Event):
    """The first event of a room that somebody made; its sender is the first owner.

    A direct room names the other person as `user` and has no owner.
    """

    type: Literal["room.created"] = "room.created"
    kind: RoomKind
    title: StoredLine
    user: UserId | None = None


class RoomRenamed(_Event):
    """The room has another title."""

    type: Literal["room.renamed"] = "room.renamed"
    title: StoredLine


class RoomArchived(_Event):
    """The room can only be read from now on."""

    changes_access = True
    type: Literal["room.archived"] = "room.archived"


class RoomRestored(_Event):
    """The room is in use again."""

    changes_access = True
    type: Literal["room.restored"] = "room.restored"


class MemberJoined(TargetedEvent):
    """`user` became a member."""

    derived = frozenset({"invited"})
    changes_access = True
    type: Literal["member.joined"] = "member.joined"
    invited: bool | None = None
    """Whether that was to accept an invitation."""


class MemberLeft(TargetedEvent):
    """`user` is no member any more, or declined an invitation."""

    derived = frozenset({"invited"})
    ends_reading = True
    type: Literal["member.left"] = "member.left"
    invited: bool | None = None
    """Whether that was to decline an invitation."""


class MemberInvited(TargetedEvent):
    """`user` may become a member."""

    derived = frozenset({"invited"})
    type: Literal["member.invited"] = "member.invited"


class MemberRemoved(TargetedEvent):
    """`user` was made to leave, or their invitation was taken back."""

    ends_reading = True
    type: Literal["member.removed"] = "member.removed"


class MemberBanned(TargetedEvent):
    """`user` may neither read nor come back, until `until` if there is one."""

    ends_reading = True
    type: Literal["member.banned"] = "member.banned"
    until: Timestamp | None = None
    reason: StoredLine | None = None


class MemberUnbanned(TargetedEvent):
    """`user` may come back."""

    derived = frozenset({"invited"})
    type: Literal["member.unbanned"] = "member.unbanned"


class MemberMuted(TargetedEvent):
    """`user` may read and not write, until `until` if there is one. Leaving and coming back does not end it."""

    changes_access = True
    type: Literal["member.muted"] = "member.muted"
    until: Timestamp | None = None
    reason: StoredLine | None = None


class MemberUnmuted(TargetedEvent):
    """`user` may write again."""

    changes_access = True
    type: Literal["member.unmuted"] = "member.unmuted"


class RoleChanged(TargetedEvent):
    """`user` has another role."""

    type: Literal["member.role"] = "member.role"
    role: Role


class Notice(_Event):
    """In an inbox room: `sender` did something that concerns its owner, in another room. Numbered like messages.

    The owner's own answers to invitations are told, too: it may be another device that they were given on.

    `what` is the type of the event at `of_seq` in the log of `of_room`; the rest says of it what its reader needs
    who may have no access to that room (any more).
    """

    numbered = True
    derived = frozenset({"what", "of_room", "of_seq", "kind", "title", "role", "until", "reason"})
    """All of it: its key names what it tells, and the title of that room may be another by the next try."""
    type: Literal["notice"] = "notice"
    number: Seq
    what: str = Field(max_length=64)
    of_room: RoomId
    of_seq: Seq
    kind: RoomKind
    title: StoredLine
    role: Role | None = None
    until: Timestamp | None = None
    reason: StoredLine | None = None


class PersonBlocked(InboxEvent):
    """`user` does not reach the inbox's owner any more."""

    type: Literal["person.blocked"] = "person.blocked"


class PersonUnblocked(InboxEvent):
    """`user` reaches the inbox's owner again."""

    type: Literal["person.unblocked"] = "person.unblocked"


class DirectHidden(InboxEvent):
    """The direct room with `user` is out of the owner's list until it has more than `upto` messages."""

    type: Literal["direct.hidden"] = "direct.hidden"
    upto: Cursor


class DirectShown(InboxEvent):
    """The direct room with `user` is in the owner's list again."""

    type: Literal["direct.shown"] = "direct.shown"


AnyEvent = (
    Message | RoomCreated | RoomRenamed | RoomArchived | RoomRestored | MemberJoined | MemberLeft | MemberInvited
    | MemberRemoved | MemberBanned | MemberUnbanned | MemberMuted | MemberUnmuted | RoleChanged | Notice
    | PersonBlocked | PersonUnblocked | DirectHidden | DirectShown
)  # fmt: skip
"""The closed union of all events of this version."""
Event = Annotated[AnyEvent, Field(discriminator="type")]
EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Event)


EVENT_MODELS: tuple[type[AnyEvent], ...] = get_args(AnyEvent)


def event_type(model: type[AnyEvent]) -> str:
    """Return the type that events of this model have."""
    return str(model.model_fields["type"].default)


def _content(model: type[AnyEvent]) -> tuple[str, ...]:
    besides = {*_Event.model_fields, "type", "number", *model.derived}
    return tuple(name for name in model.model_fields if name not in besides)


CONTENT_FIELDS = {model: _content(model) for model in EVENT_MODELS}
"""The fields that say what was said: not where, when, by whom, nor what followed from the room's state."""


def _types(flag: str) -> frozenset[str]:
    return frozenset(event_type(model) for model in EVENT_MODELS if getattr(model, flag))


EVENT_TYPES = frozenset(map(event_type, EVENT_MODELS))
"""The types that this version knows. In a roll-out there are others in the logs, which pass through."""
NUMBERED = _types("numbered")
"""The types that count as something to read."""
ENDS_READING = _types("ends_reading")
"""The types after which `user` is shown nothing more, unless they come back."""
CHANGES_ACCESS = _types("changes_access")
"""The types after which `user`, or everybody, may do more or less than before, and reads on."""


class Events(Wire):
    """One contiguous range of one room's log: the body of an AMQP message on `warren.events`, and a client frame."""

    type: Literal["events"] = "events"
    room: RoomId
    events: list[Event]
