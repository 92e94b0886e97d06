"""What a bot does later: timers, kept together with what else it remembers, so that they outlast the process.

A timer is a value like others, under a key that begins with the moment at which it is due: the first key is the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from warren.bot.api.event import Event
from warren.bot.api.state import HIDDEN, Memory
from warren.contract.wire import rfc3339

PREFIX = f"{HIDDEN}timer/"
"""What the keys of timers begin with."""
DUE_LIMIT = 1_000
"""Timers that are taken up at once, those that have been due for longest first."""
_LAST = "~"  # sorts after all that a timer's id holds

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class DueTimer(Event):
    """A timer, with the event about which it was set. `handler` is called; `given`: what else it needs.

    `id` begins with the moment at which it is due, and follows from what set it: the same again is the same timer.
    """

    id: str
    handler: str
    given: Any = None

    @property
    def due(self) -> datetime:
        """Return when it is due, in UTC."""
        return datetime.fromisoformat(self.id.partition("/")[0].replace("Z", "+00:00"))

    def to_dead_letter(self) -> Event:
        """Return the event for the dead letters, with what it takes to call the handler once more."""
        return Event(self.room, {**self.data, "timer": {"id": self.id, "given": self.given}})

    @classmethod
    def from_dead_letter(cls, room: str, handler: str, data: dict[str, Any]) -> "DueTimer | None":
        """Return the timer that was given up, or None if what was given up was no timer."""
        found = data.get("timer")
        event = {name: value for name, value in data.items() if name != "timer"}
        return found and cls(room, event, found["id"], handler, found["given"])


def timer_id(due: datetime, identity: str) -> str:
    """Return the id of a timer. Raises ValueError for a moment without a time zone."""
    if due.tzinfo is None:
        raise ValueError("say in which time zone: datetime.now(UTC)")
    return f"{rfc3339(due)}/{sha256(identity.encode()).hexdigest()[:24]}"


def key_of(timer: str) -> str:
    """Return the key under which a timer is kept."""
    return PREFIX + timer


def value_of(due: DueTimer) -> dict[str, Any]:
    """Return what is kept of a timer."""
    return {"room": due.room, "data": due.data, "handler": due.handler, "given": due.given}


def overdue(memory: Memory, now: datetime, most: int = DUE_LIMIT) -> list[DueTimer]:
    """Return the timers that are due, in the order in which they became so."""
    found = memory.span(PREFIX, f"{PREFIX}{rfc3339(now)}{_LAST}", most)
    return [DueTimer(id=key.removeprefix(PREFIX), **value) for key, value in found]


def next_due(memory: Memory, now: datetime) -> DueTimer | None:
    """Return the first timer that is not due yet."""
    found = memory.span(f"{PREFIX}{rfc3339(now)}{_LAST}", PREFIX + _LAST, 1)
    return next((DueTimer(id=key.removeprefix(PREFIX), **value) for key, value in found), None)
