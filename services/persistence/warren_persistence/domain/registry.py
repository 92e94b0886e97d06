"""The registry of event types: all that the service knows of a type is found here, by its model or by its command.

A new type is an entry in one of the modules of `warren_persistence.domain.events`. A type that only a newer replica
knows has none: its events are stored, read and passed on as they are.
"""

from typing import Any

from warren.contract.commands import AnyCommand
from warren.contract.events import AnyEvent, event_type

from warren_persistence.domain.event_type import EventType, Verb
from warren_persistence.domain.events import inbox, members, messages, rooms

ENTRIES: tuple[EventType[Any], ...] = (*messages.TYPES, *rooms.TYPES, *members.TYPES, *inbox.TYPES)
_BY_EVENT: dict[type[AnyEvent], EventType[Any]] = {entry.event: entry for entry in ENTRIES}
_BY_COMMAND: dict[type[AnyCommand], Verb[Any]] = {verb.command: verb for entry in ENTRIES for verb in entry.verbs}


def entry_of(event: AnyEvent) -> EventType[Any]:
    """Return what is known of the event's type."""
    return _BY_EVENT[type(event)]


def verb_of(command: AnyCommand) -> Verb[Any]:
    """Return what is known of the command."""
    return _BY_COMMAND[type(command)]


PROJECTED = frozenset(event_type(entry.event) for entry in ENTRIES if entry.room or entry.members or entry.signed_in)
"""The types that change what is looked up: rooms, members, people."""
