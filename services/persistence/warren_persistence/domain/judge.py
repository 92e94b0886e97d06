"""What becomes of a command, at its place in the room's order: an event, or a refusal.

Rights and roles find their place here: a rule is a line in one of these functions.
"""

from datetime import datetime

from warren.contract.codes import Code
from warren.contract.commands import CreateRoom, Join, Refused, Send
from warren.contract.events import MemberJoined, Message, RoomCreated

from warren_persistence.domain.room import LogEvent, Room

RoomCommand = Send | CreateRoom | Join


def judge(room: Room, command: RoomCommand, now: datetime) -> LogEvent | Refused:
    """Return the event that the command becomes as the room's next, or why it does not."""
    match command:
        case CreateRoom():
            return _create(room, command, now)
        case Join():
            return _join(room, command, now)
        case Send():
            return _send(room, command, now)


def _create(room: Room, command: CreateRoom, now: datetime) -> LogEvent | Refused:
    if room.head:
        return refuse(command, Code.EXISTS, "a room of this name exists already")
    return RoomCreated(
        seq=1,
        id=command.id,
        sender=command.sender,
        name=command.name,
        key=command.key,
        at=now,
        kind=command.kind,
        title=command.title,
    )


def _join(room: Room, command: Join, now: datetime) -> LogEvent | Refused:
    if _hidden(room, command.sender):
        return _not_found(command)
    if room.members.get(command.sender):
        return refuse(command, Code.EXISTS, "already a member")
    return MemberJoined(
        seq=room.head + 1,
        id=command.id,
        sender=command.sender,
        name=command.name,
        key=command.key,
        at=now,
        user=command.sender,
    )


def _send(room: Room, command: Send, now: datetime) -> LogEvent | Refused:
    if _hidden(room, command.sender):
        return _not_found(command)
    if not room.members.get(command.sender):
        return refuse(command, Code.FORBIDDEN, "join the room before you write in it")
    if command.reply_to is not None and command.reply_to > room.head:
        return refuse(command, Code.INVALID, "reply_to names a seq that the room has not reached")
    return Message(
        seq=room.head + 1,
        id=command.id,
        sender=command.sender,
        name=command.name,
        key=command.key,
        at=now,
        number=room.number + 1,
        text=command.text,
        reply_to=command.reply_to,
    )


def _hidden(room: Room, user: str) -> bool:
    """Unknown and forbidden look the same."""
    return not room.head or (room.kind == "private" and not room.members.get(user))


def _not_found(command: RoomCommand) -> Refused:
    return refuse(command, Code.NOT_FOUND, "no such room")


def refuse(command: RoomCommand, code: Code, detail: str) -> Refused:
    """Return the refusal of `command`."""
    return Refused(id=command.id, code=code, detail=detail)
