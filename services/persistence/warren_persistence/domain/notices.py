"""Who is told in their inbox of what happened in another room."""

from hashlib import sha256

from warren.contract import events as e
from warren.contract.commands import Notify
from warren.contract.ids import inbox_room

from warren_persistence.domain.registry import entry_of
from warren_persistence.domain.room import LogEvent


def recipient(event: LogEvent) -> str | None:
    """Return who is sent a notice of the event."""
    whose = entry_of(event).recipient
    return None if whose is None else whose(event)


def notice(room: str, kind: e.RoomKind, title: str, event: LogEvent, user: str) -> Notify:
    """Return the command that tells `user` of the event. Its key follows from the event's place, so it is told once."""
    return Notify(
        id=event.id,
        room=inbox_room(user),
        sender=event.sender,
        name=event.name,
        key=sha256(f"{room}/{event.seq}".encode()).hexdigest()[:40],
        what=event.type,
        of_room=room,
        of_seq=event.seq,
        kind=kind,
        title=title,
        role=getattr(event, "role", None),
        until=getattr(event, "until", None),
        reason=getattr(event, "reason", None),
    )
