"""What somebody wants to happen in a room. The writer judges each at its place in the room's order."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from warren.contract.events import RoomKind
from warren.contract.ids import Key, RoomId, Seq, Text, Title, UserId
from warren.contract.wire import Wire


class _Command(Wire):
    id: str = Field(max_length=64)
    """Correlates the command with its reply, its log lines and its event."""
    room: RoomId
    sender: UserId
    name: str = Field(max_length=128)
    key: Key


class Send(_Command):
    """Say `text` in the room."""

    type: Literal["send"] = "send"
    text: Text
    reply_to: Seq | None = None


class CreateRoom(_Command):
    """Make the room; the sender becomes its first member."""

    type: Literal["room.create"] = "room.create"
    kind: RoomKind
    title: Title


class Join(_Command):
    """Make the sender a member."""

    type: Literal["join"] = "join"


Command = Annotated[Send | CreateRoom | Join, Field(discriminator="type")]
"""The closed union of all commands of this version."""
COMMAND: TypeAdapter[Send | CreateRoom | Join] = TypeAdapter(Command)


class Commands(Wire):
    """The body of one AMQP message on `warren.commands`: commands of one shard, in order."""

    commands: list[Command]


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


Reply = Annotated[Accepted | Refused, Field(discriminator="type")]


class Replies(Wire):
    """The body of one AMQP message to a gateway's reply queue."""

    replies: list[Reply]
