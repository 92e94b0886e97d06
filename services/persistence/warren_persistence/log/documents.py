"""Events as documents of MongoDB, and back."""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from warren.contract.events import EVENT, NUMBERED
from warren.contract.queries import StoredEvent
from warren.contract.wire import rfc3339

from warren_persistence.domain.content import content_of_event
from warren_persistence.domain.notices import recipient
from warren_persistence.domain.plan import Stored
from warren_persistence.domain.room import LogEvent

log = logging.getLogger(__name__)

_INTERNAL = {"_id", "room", "unprojected", "unsent", "erased"}


def as_document(room: str, event: LogEvent, number: int) -> dict[str, Any]:
    """Return an event as it is stored; `number`: how many messages the room has at it."""
    found = {"room": room, **event.model_dump(exclude_none=True), "number": number}
    if event.type not in NUMBERED:
        found["unprojected"] = True  # replicas of versions before checkpoints look for it
        if recipient(event):
            found["unsent"] = True
    return found


def as_wire(document: dict[str, Any]) -> StoredEvent:
    """Return a stored event as clients see it; fields that only a newer replica knows pass through.

    Of one that was erased its place is left. Its sender goes by the id, because every event has a name.
    """
    hidden = _INTERNAL if document["type"] in NUMBERED else _INTERNAL | {"number"}
    found = {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in document.items()
        if name not in hidden and value is not None
    }
    return {**found, "name": found["sender"], "deleted": True} if document.get("erased") else found


def as_stored(document: dict[str, Any]) -> Stored:
    """Return where an event stands; one of a type that only a newer replica knows is none of what is known here.

    What was erased may have said anything: whoever sends it again gets its place.
    """
    if document.get("erased"):
        return Stored(document["seq"], document["number"], None)
    event = known(document)
    return Stored(document["seq"], document["number"], hash(None) if event is None else content_of_event(event), event)


def all_known(documents: Iterable[dict[str, Any]]) -> list[tuple[str, LogEvent]]:
    """Return the events, with their rooms, without what was erased and what only a newer replica knows."""
    found = ((document["room"], known(document)) for document in documents if not document.get("erased"))
    return [(room, event) for room, event in found if event is not None]


def known(document: dict[str, Any]) -> LogEvent | None:
    """Return an event, or None if only a newer replica knows what it is."""
    try:
        return EVENT.validate_python(document)
    except ValidationError:
        log.info("an event that is not known here", extra={"room": document["room"], "seq": document["seq"]})
        return None
