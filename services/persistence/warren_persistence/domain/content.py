"""What a command says, apart from who says it when: by that a key that is used again is known to mean the same."""

from warren.contract.commands import AnyCommand
from warren.contract.events import CONTENT_FIELDS, AnyEvent, event_type


def content_of_command(command: AnyCommand) -> int:
    """Return a hash, of this process alone: the same for a command and the event that it became."""
    said = command.content()
    return hash((event_type(command.becomes), *map(said.get, CONTENT_FIELDS[command.becomes])))


def content_of_event(event: AnyEvent) -> int:
    """Return the hash of what the command has said that became this event."""
    return hash((event.type, *(getattr(event, name) for name in CONTENT_FIELDS[type(event)])))
