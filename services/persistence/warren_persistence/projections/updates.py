"""What structural events make of the collections that are looked things up in, as MongoDB updates.

Each update is guarded by the seq of the last event that its document has seen, so that it may be repeated, and two
replicas may project the same events side by side.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from warren.contract.events import RoomCreated

from warren_persistence.domain.decide import member_changes, room_changes
from warren_persistence.domain.registry import entry_of
from warren_persistence.domain.room import LogEvent
from warren_persistence.projections.folding import terms

_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
"""When a name was learned that an older version has written down without saying when."""
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
    """Return what the events make of `people`: who enters a room has signed in, bots as well."""
    return [known_as(event.sender, event.name, event.at) for _, event in events if entry_of(event).signed_in]


def known_as(user: str, name: str, at: datetime) -> UpdateOne:
    """Return what it makes of `people` that somebody went by this name at that moment; the last one holds."""
    newer = {"$lt": [{"$ifNull": ["$at", _BEFORE]}, at]}
    return _changed(user, newer, {"name": name, "terms": terms(user, name), "at": at})


def _room_fields(event: LogEvent) -> dict[str, Any]:
    fields = room_changes(event)
    if isinstance(event, RoomCreated):
        fields |= {"creator": event.sender, "created": event.at}
    return fields


def _guarded(identity: Any, seq: int, fields: Mapping[str, Any]) -> UpdateOne:
    newer = {"$lt": [{"$ifNull": ["$seq", 0]}, seq]}
    return _changed(identity, newer, {**fields, "seq": seq})


def _changed(identity: Any, newer: Mapping[str, Any], fields: Mapping[str, Any]) -> UpdateOne:
    changes = {name: {"$cond": [newer, {"$literal": value}, f"${name}"]} for name, value in fields.items()}
    return UpdateOne({"_id": identity}, [{"$set": changes}], upsert=True)
