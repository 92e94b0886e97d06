"""What a bot needs of the rest of Warren: the broker does it, or in tests a room in memory."""

from dataclasses import dataclass
from typing import Any, Protocol

from warren.contract.commands import Accepted, AnyCommand
from warren.contract.presence import IsTyping
from warren.contract.presence import Partial as PartialReply
from warren.contract.queries import RANGE_LIMIT


class Refusal(Exception):
    """Something was refused for good; `code` and `detail` say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class LogPage:
    """Consecutive events of a room's log, oldest first, and where the log ends."""

    epoch: str
    head: int
    events: list[dict[str, Any]]


class Chat(Protocol):
    """The chat, as a bot acts in it and reads it."""

    async def submit(self, command: AnyCommand) -> Accepted:
        """Have something done. Returns once it is stored; waits while it cannot be. Raises Refusal or Unavailable."""

    async def show(self, frame: IsTyping | PartialReply) -> None:
        """Show what does not last; it may get lost."""

    async def read(self, room: str, after: int, limit: int = RANGE_LIMIT) -> LogPage:
        """Read a room's log after a seq, so many events at most. Raises Refusal or Unavailable."""
