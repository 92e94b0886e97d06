"""What lasts in a room. A room is one log of these, with seq 1, 2, 3 … and no gap."""

from typing import Annotated, Any, Literal, get_args

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
    seq: Seq
    id: str
    """The id of the command that made the event: it follows a message from the frame to the fan-out."""
    sender: UserId
    name: str
    key: Key
    at: Timestamp


class About(_Event):
    """An event about `user`, who may be the sender."""

    user: UserId


class OwnAffair(_Event):
    """An event of an inbox room by which its owner, the sender, decides about `user`, who is told nothing of it."""

    user: UserId


class Message(_Event):
    """Somebody said something. `number` counts the room's messages alone: unread = head number - read number."""

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

    type: Literal["room.archived"] = "room.archived"


class RoomRestored(_Event):
    """The room is in use again."""

    type: Literal["room.restored"] = "room.restored"


class MemberJoined(About):
    """`user` became a member."""

    type: Literal["member.joined"] = "member.joined"
    invited: bool | None = None
    """Whether that was to accept an invitation."""


class MemberLeft(About):
    """`user` is no member any more, or declined an invitation."""

    type: Literal["member.left"] = "member.left"
    invited: bool | None = None
    """Whether that was to decline an invitation."""


class MemberInvited(About):
    """`user` may become a member."""

    type: Literal["member.invited"] = "member.invited"


class MemberRemoved(About):
    """`user` was made to leave, or their invitation was taken back."""

    type: Literal["member.removed"] = "member.removed"


class MemberBanned(About):
    """`user` may neither read nor come back, until `until` if there is one."""

    type: Literal["member.banned"] = "member.banned"
    until: Timestamp | None = None
    reason: StoredLine | None = None


class MemberUnbanned(About):
    """`user` may come back."""

    type: Literal["member.unbanned"] = "member.unbanned"


class MemberMuted(About):
    """`user` may read and not write, until `until` if there is one. Leaving and coming back does not end it."""

    type: Literal["member.muted"] = "member.muted"
    until: Timestamp | None = None
    reason: StoredLine | None = None


class MemberUnmuted(About):
    """`user` may write again."""

    type: Literal["member.unmuted"] = "member.unmuted"


class RoleChanged(About):
    """`user` has another role."""

    type: Literal["member.role"] = "member.role"
    role: Role


class Notice(_Event):
    """In an inbox room: `sender` did something that concerns its owner, in another room. Numbered like messages.

    The owner's own answers to invitations are told, too: it may be another device that they were given on.

    `what` is the type of the event at `of_seq` in the log of `of_room`; the rest says of it what its reader needs
    who may have no access to that room (any more).
    """

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


class PersonBlocked(OwnAffair):
    """`user` does not reach the inbox's owner any more."""

    type: Literal["person.blocked"] = "person.blocked"


class PersonUnblocked(OwnAffair):
    """`user` reaches the inbox's owner again."""

    type: Literal["person.unblocked"] = "person.unblocked"


class DirectHidden(OwnAffair):
    """The direct room with `user` is out of the owner's list until it has more than `upto` messages."""

    type: Literal["direct.hidden"] = "direct.hidden"
    upto: Cursor


class DirectShown(OwnAffair):
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


def _types(union: Any) -> frozenset[str]:
    return frozenset(str(kind.model_fields["type"].default) for kind in get_args(union))


EVENT_TYPES = _types(AnyEvent)
"""The types that this version knows. In a roll-out there are others in the logs, which pass through."""
NUMBERED = frozenset({"message", "notice"})
"""The events that count as something to read."""
EndsReading = MemberLeft | MemberRemoved | MemberBanned
"""The events after which `user` is shown nothing more, unless they come back."""
ENDS_READING = _types(EndsReading)
"""Their types."""


ChangesStanding = MemberJoined | MemberMuted | MemberUnmuted | RoomArchived | RoomRestored
"""The events after which `user`, or everybody, may do more or less than before, and reads on."""
CHANGES_STANDING = _types(ChangesStanding)
"""Their types."""


class Events(Wire):
    """One contiguous range of one room's log: the body of an AMQP message on `warren.events`, and a client frame."""

    type: Literal["events"] = "events"
    room: RoomId
    events: list[Event]
