"""Many readers, and what each is shown: frames are parsed once for all, their order is checked for each."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic_core import from_json

PARSED = 500
"""Parsed frames kept."""

Frame = dict[str, Any]
Shown = Callable[[str], None]


@dataclass(slots=True)
class Audience:
    """What all readers of a measurement have in common. `shown` is called with the text of each message shown."""

    shown: Shown = lambda text: None
    ready: int = 0
    requests: int = 0
    """Polls made."""
    over: bool = False
    """Whether readers may go."""
    wrong: str | None = None
    """The first thing that went wrong."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    parse: Callable[[bytes], Frame] = field(default_factory=lambda: lru_cache(PARSED)(from_json))
    """Return a frame, parsed once for all who get it."""

    def fail(self, why: str) -> None:
        """Take note of what must not happen."""
        if not self.over:
            self.wrong = self.wrong or why
            self.moved.set()

    def lost(self, user: str) -> None:
        """Take note that a reader's connection has ended."""
        self.fail(f"{user} was cut off")

    async def until(self, done: Callable[[], bool], within: float) -> None:
        """Wait for it; raise AssertionError if anything went wrong, or TimeoutError after so many seconds."""
        async with asyncio.timeout(within):
            while not done() and not self.wrong:
                self.moved.clear()
                await self.moved.wait()
        self.check()

    def check(self) -> None:
        """Raise AssertionError if anything went wrong."""
        if self.wrong:
            raise AssertionError(self.wrong)


class Place:
    """Where a reader is in its room."""

    def __init__(self, audience: Audience, room: str, user: str) -> None:
        self.audience = audience
        self.room = room
        self.user = user
        self._seq: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the gateway has said where the room stands."""
        return self._seq is not None

    def hear(self, frame: Frame) -> None:
        """Take a frame."""
        match frame["type"]:
            case "joined":
                self.joined(frame["head"])
            case "events":
                self.take(frame["events"])
            case "error" | "bye" | "left":
                self.audience.fail(f"{self.user}: {frame}")

    def joined(self, head: int) -> None:
        """Begin at the room's head."""
        self._seq = head
        self.audience.ready += 1
        self.audience.moved.set()

    def take(self, events: Sequence[Frame]) -> None:
        """Take events, which must be the next ones."""
        if self._seq is None or events[0]["seq"] != self._seq + 1:
            self.audience.fail(f"{self.user} in {self.room} was shown {events[0]['seq']} after {self._seq}")
        self._seq = events[-1]["seq"]
        for event in events:
            if event["type"] == "message":
                self.audience.shown(event["text"])
        self.audience.moved.set()
