"""Whom presence is for: a room comes in, its members here go out. No I/O."""

from collections.abc import Iterable
from typing import Protocol

from warren_gateway.delivery.subscriber import Subscriber


class Audience(Protocol):
    """Who follows the rooms of this gateway."""

    def members(self, name: str) -> Iterable[Subscriber]:
        """Return who follows a room as its member: they are shown who is there, and who types."""

    async def may_write(self, name: str, user: str) -> bool:
        """Return whether somebody may write in a room. Raises Unavailable."""


class NoAudience:
    """The audience until there is one."""

    def members(self, _: str) -> Iterable[Subscriber]:
        """Return nobody."""
        return ()

    async def may_write(self, _: str, __: str) -> bool:
        """Return that they may not."""
        return False
