"""Events as documents, and back: as they were, or what is left of them."""

from datetime import UTC, datetime
from typing import Any

from warren.contract.events import Message
from warren_persistence.domain.content import content_of_event
from warren_persistence.log.documents import all_known, as_document, as_stored, as_wire

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
MESSAGE = Message(seq=7, id="i", sender="ann", name="Ann", key="k", at=NOW, number=3, text="hi")
ERASED: dict[str, Any] = {
    **{"_id": 1, "room": "a", "seq": 7, "number": 3, "id": "i", "type": "message", "sender": "ann", "key": "k"},
    **{"at": NOW, "erased": True},
}


def test_an_event_comes_back_as_it_was() -> None:
    document = as_document("a", MESSAGE, 3)
    assert all_known([document]) == [("a", MESSAGE)]
    stored = as_stored(document)
    assert (stored.seq, stored.number, stored.content, stored.event) == (7, 3, content_of_event(MESSAGE), MESSAGE)
    assert as_wire(document) == MESSAGE.model_dump(mode="json", exclude_none=True)


def test_of_an_erased_event_its_place_is_shown() -> None:
    place = {"seq": 7, "id": "i", "type": "message", "sender": "ann", "key": "k", "at": "2026-01-02T03:04:05.678Z"}
    assert as_wire(ERASED) == {**place, "number": 3, "name": "ann", "deleted": True}


def test_what_an_erased_event_said_is_not_known_any_more() -> None:
    stored = as_stored(ERASED)
    assert (stored.seq, stored.number, stored.content, stored.event) == (7, 3, None, None)
    assert all_known([ERASED]) == []
