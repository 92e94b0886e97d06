"""A room as the writer knows it at its head, and what an event changes in it."""

from dataclasses import dataclass, field

from warren.contract.events import MemberJoined, Message, RoomCreated, RoomKind

LogEvent = Message | RoomCreated | MemberJoined


@dataclass(slots=True)
class Room:
    """The state that the next command is judged by. `head` 0: the room does not exist."""

    name: str
    head: int = 0
    number: int = 0
    """How many messages the log holds up to its head."""
    kind: RoomKind = "public"
    title: str = ""
    members: dict[str, bool] = field(default_factory=dict)
    """Who is a member and who is not, of those that have been looked up."""


def apply(room: Room, event: LogEvent) -> None:
    """Advance the room by the event that follows its head."""
    room.head = event.seq
    match event:
        case Message():
            room.number = event.number
        case RoomCreated():
            room.kind, room.title = event.kind, event.title
            room.members[event.sender] = True
        case MemberJoined():
            room.members[event.user] = True
