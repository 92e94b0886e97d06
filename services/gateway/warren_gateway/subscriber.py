"""Who reads a room, over whichever transport."""

from typing import Protocol

from warren.contract.frames import Joined, Left

from warren_gateway.view import Chunk, Frame


class Subscriber(Protocol):
    """Somebody's way of getting a room's events, and of seeing who is there.

    No call but `drained` waits; a subscriber that can't keep up cuts itself.
    """

    @property
    def user(self) -> str:
        """Who reads."""

    def tell(self, frame: Joined) -> None:
        """Take note of the subscription."""

    def left(self, frame: Left) -> None:
        """Take note that the subscription has ended by itself."""

    def send(self, chunk: Chunk) -> None:
        """Take events."""

    def show(self, frame: Frame) -> None:
        """Take what does not last."""

    async def drained(self) -> bool:
        """Wait until what was sent is on its way; False if the subscriber is gone."""
