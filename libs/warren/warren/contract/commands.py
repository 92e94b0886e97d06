"""What somebody wants to happen in a room. The writer judges each at its place in the room's order."""

from typing import Annotated, Any, ClassVar, Literal, TypedDict

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator

from warren.contract import events as e
from warren.contract.events import NewRoomKind, Role, RoomKind
from warren.contract.ids import Cursor, Key, Reason, RoomId, Seq, StoredLine, Text, Title, UserId
from warren.contract.text import one_line, shows
from warren.contract.wire import Timestamp, Wire


class BaseCommand(Wire):
    """A command. Its class says what event it becomes, so that nobody else has to."""

    becomes: ClassVar[type[e.AnyEvent]]

    id: str = Field(max_length=64)
    """Correlates the command with its reply, its log lines and its event."""
    room: RoomId
    sender: UserId
    name: str = Field(max_length=128)
    key: Key

    @field_validator("name")
    @classmethod
    def _on_one_line(cls, name: str, info: ValidationInfo) -> str:
        """What gateways have checked passes; a bot says what it likes, or what somebody elsewhere is called."""
        line = one_line(name)
        return line if shows(line) else str(info.data.get("sender", name))

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event. What follows from the room's state is not among it."""
        return {name: getattr(self, name) for name in e.CONTENT_FIELDS[self.becomes]}


class Common(TypedDict):
    """The fields that every command has."""

    id: str
    room: str
    sender: str
    name: str
    key: str


class TargetedCommand(BaseCommand):
    """A command about `user`."""

    user: UserId


class Send(BaseCommand):
    """Say `text` in the room."""

    becomes = e.Message
    type: Literal["send"] = "send"
    text: Text
    reply_to: Seq | None = None


class CreateRoom(BaseCommand):
    """Make the room; the sender becomes its owner."""

    becomes = e.RoomCreated
    type: Literal["room.create"] = "room.create"
    kind: NewRoomKind
    title: Title

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event."""
        return {"kind": self.kind, "title": self.title}


class CreateDirect(TargetedCommand):
    """Make the room of the sender and `user`; its id follows from theirs (`warren.contract.ids.direct_room`)."""

    becomes = e.RoomCreated
    type: Literal["direct.create"] = "direct.create"

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event."""
        return {"kind": "direct", "title": "Direct", "user": self.user}


class Rename(BaseCommand):
    """Give the room another title."""

    becomes = e.RoomRenamed
    type: Literal["room.rename"] = "room.rename"
    title: Title


class Archive(BaseCommand):
    """Close the room for everything but reading."""

    becomes = e.RoomArchived
    type: Literal["room.archive"] = "room.archive"


class Restore(BaseCommand):
    """Open an archived room again."""

    becomes = e.RoomRestored
    type: Literal["room.restore"] = "room.restore"


class Join(BaseCommand):
    """Make the sender a member."""

    becomes = e.MemberJoined
    type: Literal["join"] = "join"

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event."""
        return {"user": self.sender}


class Leave(BaseCommand):
    """End the sender's membership, or decline an invitation."""

    becomes = e.MemberLeft
    type: Literal["leave"] = "leave"

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event."""
        return {"user": self.sender}


class Invite(TargetedCommand):
    """Let `user` become a member."""

    becomes = e.MemberInvited
    type: Literal["invite"] = "invite"


class Remove(TargetedCommand):
    """End the membership or invitation of `user`."""

    becomes = e.MemberRemoved
    type: Literal["remove"] = "remove"


class Ban(TargetedCommand):
    """Keep `user` out, until `until` if given."""

    becomes = e.MemberBanned
    type: Literal["ban"] = "ban"
    until: Timestamp | None = None
    reason: Reason | None = None


class Unban(TargetedCommand):
    """Let `user` come back."""

    becomes = e.MemberUnbanned
    type: Literal["unban"] = "unban"


class Mute(TargetedCommand):
    """Keep `user` from writing, until `until` if given."""

    becomes = e.MemberMuted
    type: Literal["mute"] = "mute"
    until: Timestamp | None = None
    reason: Reason | None = None


class Unmute(TargetedCommand):
    """Let `user` write again."""

    becomes = e.MemberUnmuted
    type: Literal["unmute"] = "unmute"


class SetRole(TargetedCommand):
    """Give `user` another role."""

    becomes = e.RoleChanged
    type: Literal["role"] = "role"
    role: Role


class Block(TargetedCommand):
    """In the sender's own inbox room: let `user` reach the sender no more."""

    becomes = e.PersonBlocked
    type: Literal["person.block"] = "person.block"


class Unblock(TargetedCommand):
    """In the sender's own inbox room: let `user` reach the sender again."""

    becomes = e.PersonUnblocked
    type: Literal["person.unblock"] = "person.unblock"


class Hide(TargetedCommand):
    """In the sender's own inbox room: keep the direct room with `user` out of lists until its next message.

    `upto`: how many messages it has.
    """

    becomes = e.DirectHidden
    type: Literal["direct.hide"] = "direct.hide"
    upto: Cursor


class Show(TargetedCommand):
    """In the sender's own inbox room: have the direct room with `user` in the sender's list again."""

    becomes = e.DirectShown
    type: Literal["direct.show"] = "direct.show"


class Notify(BaseCommand):
    """Put a notice of what `sender` did into the inbox room of whom it concerns. From the persistence service alone."""

    becomes = e.Notice
    type: Literal["notify"] = "notify"
    what: str = Field(max_length=64)
    of_room: RoomId
    of_seq: Seq
    kind: RoomKind
    title: StoredLine
    role: Role | None = None
    until: Timestamp | None = None
    reason: StoredLine | None = None

    def content(self) -> dict[str, Any]:
        """Return what the command says, as fields of its event."""
        return {name: getattr(self, name) for name in self.becomes.derived}


AnyCommand = (
    Send | CreateRoom | CreateDirect | Rename | Archive | Restore | Join | Leave | Invite | Remove | Ban | Unban
    | Mute | Unmute | SetRole | Notify | Block | Unblock | Hide | Show
)  # fmt: skip
"""The closed union of all commands of this version."""
Command = Annotated[AnyCommand, Field(discriminator="type")]
COMMAND: TypeAdapter[AnyCommand] = TypeAdapter(Command)


COMMANDS_LIMIT = 50
"""Commands in one AMQP message. One that has more is refused as a whole."""


class Commands(Wire):
    """The body of one AMQP message: commands in order, of one shard on `warren.commands`, of any on `warren.bots`."""

    commands: list[Command] = Field(max_length=COMMANDS_LIMIT)


class Accepted(Wire):
    """The command is stored; the same answer comes for the same key, ever."""

    type: Literal["accepted"] = "accepted"
    id: str
    seq: int
    number: int
    """The room's message count at `seq`; for a message, its own number."""


class Refused(Wire):
    """The command will never be stored in this form."""

    type: Literal["refused"] = "refused"
    id: str
    code: str
    detail: str
    seq: int | None = None
    """Where the event stands whose key was used again, for something else …"""
    number: int | None = None
    """… and the room's message count there."""


Reply = Annotated[Accepted | Refused, Field(discriminator="type")]


class Replies(Wire):
    """The body of one AMQP message to a gateway's reply queue."""

    replies: list[Reply]
