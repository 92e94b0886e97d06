"""What becomes of a command, at its place in the room's order: an event, or a refusal."""

from datetime import datetime
from typing import Any

from warren.contract import commands as c
from warren.contract import events as e
from warren.contract.codes import Code
from warren.contract.commands import AnyCommand as RoomCommand
from warren.contract.commands import Refused

from warren_persistence.domain.facts import NO_FACTS, Facts
from warren_persistence.domain.policy import denial
from warren_persistence.domain.room import LogEvent, Room

__all__ = ["RoomCommand", "decide", "people", "refuse"]

_EVENTS: dict[type[RoomCommand], type[LogEvent]] = {
    c.Rename: e.RoomRenamed,
    c.Archive: e.RoomArchived,
    c.Restore: e.RoomRestored,
    c.Join: e.MemberJoined,
    c.Leave: e.MemberLeft,
    c.Invite: e.MemberInvited,
    c.Remove: e.MemberRemoved,
    c.Ban: e.MemberBanned,
    c.Unban: e.MemberUnbanned,
    c.Mute: e.MemberMuted,
    c.Unmute: e.MemberUnmuted,
    c.SetRole: e.RoleChanged,
    c.Block: e.PersonBlocked,
    c.Unblock: e.PersonUnblocked,
    c.Hide: e.DirectHidden,
    c.Show: e.DirectShown,
}
"""The commands whose event says the same as they do."""
_SAME = {"user", "title", "role", "until", "reason", "upto"}


def decide(room: Room, command: RoomCommand, now: datetime, facts: Facts = NO_FACTS) -> LogEvent | Refused:
    """Return the event that the command becomes as the room's next, or why it does not."""
    why = denial(room, command, now, facts)
    return refuse(command, *why) if why else event_of(room, command, now)


def event_type(command: RoomCommand) -> str:
    """Return the type of the event that the command becomes."""
    match command:
        case c.Send():
            return "message"
        case c.CreateRoom() | c.CreateDirect():
            return "room.created"
        case c.Notify():
            return "notice"
    return str(_EVENTS[type(command)].model_fields["type"].default)


def people(command: RoomCommand) -> list[str]:
    """Return the people whose membership the command is decided by."""
    return [command.sender, command.user] if isinstance(command, c.Upon) else [command.sender]


def refuse(command: RoomCommand, code: Code, detail: str) -> Refused:
    """Return the refusal of `command`."""
    return Refused(id=command.id, code=code, detail=detail)


def event_of(room: Room, command: RoomCommand, now: datetime) -> LogEvent:
    """Return what the command becomes as the room's next event."""
    common: dict[str, Any] = {
        "seq": room.head + 1,
        "id": command.id,
        "sender": command.sender,
        "name": command.name,
        "key": command.key,
        "at": now,
    }
    match command:
        case c.Send():
            return e.Message(**common, number=room.number + 1, text=command.text, reply_to=command.reply_to)
        case c.CreateRoom():
            return e.RoomCreated(**common, kind=command.kind, title=command.title)
        case c.CreateDirect():
            return e.RoomCreated(**common, kind="direct", title="Direct", user=command.user)
        case c.Notify():
            about = command.model_dump(include=_SAME | {"what", "of_room", "of_seq", "kind"})
            return e.Notice(**common, number=room.number + 1, **about)
        case c.Join() | c.Leave():
            invited = room.membership(command.sender, now).state == "invited" or None
            return _EVENTS[type(command)](**common, user=command.sender, invited=invited)
    return _EVENTS[type(command)](**common, **command.model_dump(include=_SAME))
