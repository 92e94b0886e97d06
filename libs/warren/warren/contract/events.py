"""What lasts in a room. A room is one log of these, with seq 1, 2, 3 … and no gap."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from warren.contract.ids import Key, RoomId, Seq, Text, Title, UserId
from warren.contract.wire import Timestamp, Wire

RoomKind = Literal["public", "private"]


class _Event(Wire):
    seq: Seq
    id: str
    """The id of the command that made the event: it follows a message from the frame to the fan-out."""
    sender: UserId
    name: str
    key: Key
    at: Timestamp


class Message(_Event):
    """Somebody said something. `number` counts the room's messages alone: unread = head number - read number."""

    type: Literal["message"] = "message"
    number: Seq
    text: Text
    reply_to: Seq | None = None


class RoomCreated(_Event):
    """The first event of every room; its sender is the first member."""

    type: Literal["room.created"] = "room.created"
    kind: RoomKind
    title: Title


class MemberJoined(_Event):
    """`user` became a member."""

    type: Literal["member.joined"] = "member.joined"
    user: UserId


Event = Annotated[Message | RoomCreated | MemberJoined, Field(discriminator="type")]
"""The closed union of all events of this version."""
EVENT: TypeAdapter[Message | RoomCreated | MemberJoined] = TypeAdapter(Event)


class Events(Wire):
    """One contiguous range of one room's log: the body of an AMQP message on `warren.events`, and a client frame."""

    type: Literal["events"] = "events"
    room: RoomId
    events: list[Event]
