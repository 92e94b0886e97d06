"""Who is told in their inbox of what happened in another room."""

from hashlib import sha256

from warren.contract import events as e
from warren.contract.commands import Notify
from warren.contract.ids import inbox_room

from warren_persistence.domain.room import LogEvent


def concerned(event: LogEvent) -> str | None:
    """Return whom the event befalls by somebody else's doing, or who answers an invitation by it.

    Who acts upon themselves knows it. But an invitation is told in the inbox, so it is there that it has to end:
    nothing else tells their other devices, and nothing at all tells whoever has left the room since.
    """
    if isinstance(event, e.MemberJoined | e.MemberLeft) and event.invited:
        return event.user
    user = event.user if isinstance(event, e.About | e.RoomCreated) else None
    return None if user == event.sender else user


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
