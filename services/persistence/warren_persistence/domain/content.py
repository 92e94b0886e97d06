"""What a command says, apart from who says it when: by that a key that is used again is known to mean the same."""

from warren.contract import commands as c
from warren.contract.commands import AnyCommand as RoomCommand

from warren_persistence.domain.decide import event_type
from warren_persistence.domain.room import LogEvent

_FIELDS = ("user", "title", "kind", "role", "until", "reason", "text", "reply_to", "upto")
"""What may differ between two commands of one kind. Not a person's name: it may be another at the next try."""


def content_of(said: RoomCommand | LogEvent) -> int:
    """Return a hash, of this process alone: the same for a command and the event that it became."""
    kind = event_type(said) if isinstance(said, c.AnyCommand) else said.type
    if kind == "notice":
        return hash(kind)  # its key follows from what it tells, and the title of that room may be another by now
    told = {name: getattr(said, name, None) for name in _FIELDS}
    match said:
        case c.Join() | c.Leave():
            told["user"] = said.sender
        case c.CreateDirect():
            told |= {"title": "Direct", "kind": "direct"}
    return hash((kind, *told.values()))
