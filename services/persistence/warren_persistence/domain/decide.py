"""A command at its place in the room's order comes in, an event or a refusal goes out; and what events change."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from warren.contract.bots import bot_name
from warren.contract.codes import Code
from warren.contract.commands import AnyCommand as RoomCommand
from warren.contract.commands import Refused, TargetedCommand
from warren.contract.ids import UserId

from warren_persistence.domain.event_type import Case, Changes
from warren_persistence.domain.facts import NO_FACTS, Facts, Needs
from warren_persistence.domain.registry import entry_of, verb_of
from warren_persistence.domain.room import NOBODY, LogEvent, Room

__all__ = ["RoomCommand", "apply", "decide", "member_changes", "members_needed", "needs_of", "refuse", "room_changes"]


def members_needed(command: RoomCommand) -> tuple[UserId, ...]:
    """Return the people whose membership the command is decided by."""
    return (command.sender, command.user) if isinstance(command, TargetedCommand) else (command.sender,)


def needs_of(room: Room, command: RoomCommand) -> Needs:
    """Return what has to be read besides before the command can be decided upon."""
    return verb_of(command).policy.needs(room, command)


def decide(room: Room, command: RoomCommand, now: datetime, facts: Facts = NO_FACTS) -> LogEvent | Refused:
    """Return the event that the command becomes as the room's next, or why it does not."""
    case = Case(room, command, now, facts)
    denial = verb_of(command).policy.rule(case)
    return refuse(command, *denial) if denial else event_of(case)


def refuse(command: RoomCommand, code: Code, detail: str) -> Refused:
    """Return the refusal of `command`."""
    return Refused(id=command.id, code=code, detail=detail)


def event_of(case: Case[RoomCommand]) -> LogEvent:
    """Return what the command becomes as the room's next event."""
    room, command, derive = case.room, case.command, verb_of(case.command).derive
    fields: dict[str, Any] = command.content()
    if command.becomes.numbered:
        fields["number"] = room.number + 1
    if derive is not None:
        fields |= derive(case)
    return command.becomes(
        seq=room.head + 1,
        id=command.id,
        sender=command.sender,
        name=command.name,
        key=command.key,
        at=case.now,
        **fields,
    )


def apply(room: Room, event: LogEvent) -> None:
    """Advance the room by the event that follows its head."""
    room.head = event.seq
    room.number = getattr(event, "number", room.number)
    for name, value in room_changes(event).items():
        setattr(room, name, value)
    for user, changes in member_changes(event).items():
        before = room.members.get(user, NOBODY)
        after = room.members[user] = replace(before, **changes)
        room.owners += (after.role == "owner") - (before.role == "owner")
        if bot := bot_name(user):
            room.bots = room.bots | {bot} if after.state == "member" else room.bots - {bot}


def room_changes(event: LogEvent) -> Changes:
    """Return what the event makes of the room: new values of fields of `Room`."""
    changes = entry_of(event).room
    return {} if changes is None else changes(event)


def member_changes(event: LogEvent) -> dict[UserId, Changes]:
    """Return what the event makes of people: new values of fields of their `Membership`, by user."""
    changes = entry_of(event).members
    return {} if changes is None else changes(event)
