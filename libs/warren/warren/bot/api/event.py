"""What happened in a room, as a bot sees it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from warren.contract.bots import is_bot

LAST = 2**53 - 1
"""The highest seq that there can be."""
TEXTS = ("type", "id", "sender", "name", "key", "at")
"""The fields that every event has, besides its seq."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a room's log. `data` is the event as JSON, of whichever type, also of ones that come later."""

    room: str
    data: dict[str, Any]

    @property
    def type(self) -> str:
        """Say what happened: `message`, `member.joined` …"""
        return str(self.data["type"])

    @property
    def seq(self) -> int:
        """Return its place in the room's log."""
        return int(self.data["seq"])

    @property
    def sender(self) -> str:
        """Return the user id of who did it."""
        return str(self.data["sender"])

    @property
    def name(self) -> str:
        """Return what they are called."""
        return str(self.data["name"])

    @property
    def at(self) -> datetime:
        """Return when it was stored, in UTC."""
        return datetime.fromisoformat(str(self.data["at"]).replace("Z", "+00:00"))

    @property
    def user(self) -> str | None:
        """Return the user id of whom it was done to, if it was done to anybody."""
        found = self.data.get("user")
        return None if found is None else str(found)

    @property
    def text(self) -> str:
        """Return what was said; of what is no message, nothing."""
        return str(self.data.get("text", ""))

    @property
    def deleted(self) -> bool:
        """Whether nothing of it is left but its place, because it was deleted before it was read."""
        return self.data.get("deleted") is True

    @property
    def by_bot(self) -> bool:
        """Whether a bot did it."""
        return is_bot(self.sender)


def events_of(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    """Return the room and the events of a message: of whichever types, one after the other. Raises ValueError."""
    found = from_json(body)
    if not isinstance(found, dict) or not isinstance(found.get("room"), str):
        raise ValueError("it names no room")  # noqa: TRY004
    events = found.get("events")
    if not isinstance(events, list) or not all(map(_is_event, events)):
        raise ValueError("there is something in it that is no event")
    first = events[0]["seq"] if events else 0
    if [event["seq"] for event in events] != list(range(first, first + len(events))):
        raise ValueError("its events do not follow each other")
    return found["room"], events


def _is_event(found: Any) -> bool:
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in TEXTS):
        return False
    seq = found.get("seq")
    return type(seq) is int and 1 <= seq <= LAST and _is_timer(found.get("timer"))


def _is_timer(found: Any) -> bool:
    """Whether this is what a dead letter has of a timer; only they have any."""
    return found is None or (isinstance(found, dict) and isinstance(found.get("id"), str) and "given" in found)
