"""What somebody wants to happen in a room. The writer judges each at its place in the room's order."""

from typing import Annotated, Literal, TypedDict

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator

from warren.contract.events import NewRoomKind, Role, RoomKind
from warren.contract.ids import Cursor, Key, Reason, RoomId, Seq, StoredLine, Text, Title, UserId
from warren.contract.text import one_line, shows
from warren.contract.wire import Timestamp, Wire


class _Command(Wire):
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


class Common(TypedDict):
    """The fields that every command has."""

    id: str
    room: str
    sender: str
    name: str
    key: str


class Upon(_Command):
    """A command about `user`."""

    user: UserId


class Send(_Command):
    """Say `text` in the room."""

    type: Literal["send"] = "send"
    text: Text
    reply_to: Seq | None = None


class CreateRoom(_Command):
    """Make the room; the sender becomes its owner."""

    type: Literal["room.create"] = "room.create"
    kind: NewRoomKind
    title: Title


class CreateDirect(Upon):
    """Make the room of the sender and `user`; its id follows from theirs (`warren.contract.ids.direct_room`)."""

    type: Literal["direct.create"] = "direct.create"


class Rename(_Command):
    """Give the room another title."""

    type: Literal["room.rename"] = "room.rename"
    title: Title


class Archive(_Command):
    """Close the room for everything but reading."""

    type: Literal["room.archive"] = "room.archive"


class Restore(_Command):
    """Open an archived room again."""

    type: Literal["room.restore"] = "room.restore"


class Join(_Command):
    """Make the sender a member."""

    type: Literal["join"] = "join"


class Leave(_Command):
    """End the sender's membership, or decline an invitation."""

    type: Literal["leave"] = "leave"


class Invite(Upon):
    """Let `user` become a member."""

    type: Literal["invite"] = "invite"


class Remove(Upon):
    """End the membership or invitation of `user`."""

    type: Literal["remove"] = "remove"


class Ban(Upon):
    """Keep `user` out, until `until` if given."""

    type: Literal["ban"] = "ban"
    until: Timestamp | None = None
    reason: Reason | None = None


class Unban(Upon):
    """Let `user` come back."""

    type: Literal["unban"] = "unban"


class Mute(Upon):
    """Keep `user` from writing, until `until` if given."""

    type: Literal["mute"] = "mute"
    until: Timestamp | None = None
    reason: Reason | None = None


class Unmute(Upon):
    """Let `user` write again."""

    type: Literal["unmute"] = "unmute"


class SetRole(Upon):
    """Give `user` another role."""

    type: Literal["role"] = "role"
    role: Role


class Block(Upon):
    """In the sender's own inbox room: let `user` reach the sender no more."""

    type: Literal["person.block"] = "person.block"


class Unblock(Upon):
    """In the sender's own inbox room: let `user` reach the sender again."""

    type: Literal["person.unblock"] = "person.unblock"


class Hide(Upon):
    """In the sender's own inbox room: keep the direct room with `user` out of lists until its next message.

    `upto`: how many messages it has.
    """

    type: Literal["direct.hide"] = "direct.hide"
    upto: Cursor


class Show(Upon):
    """In the sender's own inbox room: have the direct room with `user` in the sender's list again."""

    type: Literal["direct.show"] = "direct.show"


class Notify(_Command):
    """Put a notice of what `sender` did into the inbox room of whom it concerns. From the persistence service alone."""

    type: Literal["notify"] = "notify"
    what: str = Field(max_length=64)
    of_room: RoomId
    of_seq: Seq
    kind: RoomKind
    title: StoredLine
    role: Role | None = None
    until: Timestamp | None = None
    reason: StoredLine | None = None


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
