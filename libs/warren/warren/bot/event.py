"""What happened in a room, as a bot sees it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warren.contract.bots import is_bot


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
    def by_bot(self) -> bool:
        """Whether a bot did it."""
        return is_bot(self.sender)
