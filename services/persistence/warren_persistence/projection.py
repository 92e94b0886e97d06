"""What structural events make of the collections that are looked things up in, as MongoDB updates.

Each update is guarded by the seq of the last event that its document has seen, so that it may be repeated, and two
replicas may project the same events side by side.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import UpdateOne
from warren.contract.events import MemberJoined, RoomCreated

from warren_persistence.domain.room import LogEvent, member_changes, room_changes

Entry = tuple[str, LogEvent]
"""A room and an event of its log."""


def room_updates(events: Iterable[Entry]) -> list[UpdateOne]:
    """Return what the events make of `rooms`."""
    found = ((room, event, _room_fields(event)) for room, event in events)
    return [_guarded(room, event.seq, fields) for room, event, fields in found if fields]


def member_updates(events: Iterable[Entry]) -> list[UpdateOne]:
    """Return what the events make of `members`."""
    return [
        _guarded({"room": room, "user": user}, event.seq, fields)
        for room, event in events
        for user, fields in member_changes(event).items()
    ]


def people_updates(events: Iterable[Entry]) -> list[UpdateOne]:
    """Return what the events make of `people`: who enters a room is known by their name from then on."""
    return [
        UpdateOne({"_id": event.sender}, {"$set": {"name": event.name, "terms": _terms(event)}}, upsert=True)
        for _, event in events
        if isinstance(event, RoomCreated | MemberJoined)
    ]


def _room_fields(event: LogEvent) -> dict[str, Any]:
    fields = room_changes(event)
    if isinstance(event, RoomCreated):
        fields |= {"creator": event.sender, "created": event.at}
        if event.user is not None:
            fields["pair"] = [event.sender, event.user]
    return fields


def _terms(event: LogEvent) -> list[str]:
    """Return what somebody is found by, folded: the name, each word of it, and the id."""
    name = event.name.casefold()
    return sorted({name, *name.split(), event.sender.casefold()})


def _guarded(identity: Any, seq: int, fields: Mapping[str, Any]) -> UpdateOne:
    newer = {"$lt": [{"$ifNull": ["$seq", 0]}, seq]}
    changes = {
        name: {"$cond": [newer, {"$literal": value}, f"${name}"]} for name, value in {**fields, "seq": seq}.items()
    }
    return UpdateOne({"_id": identity}, [{"$set": changes}], upsert=True)
