"""A message that was deleted before a bot read it concerns no handler but those that keep a record."""

from typing import Any

import pytest
from warren.bot.api.event import Event
from warren.bot.api.routes import Route, Routes

PLACE: dict[str, Any] = {
    **{"seq": 7, "number": 3, "id": "i", "type": "message", "sender": "ann", "name": "ann", "key": "k"},
    **{"at": "2026-01-02T03:04:05.678Z"},
}


async def _handler() -> None:
    pass


@pytest.mark.parametrize(
    ("fields", "expected"), [({"text": "hi"}, ["answers", "records"]), ({"deleted": True}, ["records"])]
)
def test_a_deleted_message_is_recorded_and_not_answered(fields: dict[str, Any], expected: list[str]) -> None:
    routes = Routes()
    routes.add(Route("answers", _handler, ("message",)))
    routes.add(Route("records", _handler, ("*",), record=True))
    event = Event("a", {**PLACE, **fields})
    assert [route.name for route in routes.of(event)] == expected
    assert event.text == fields.get("text", "")
