"""Who reads a room, and over which transport: batches and frames come in, and go out to one client."""

from typing import Protocol

from warren.contract.codes import Close
from warren.contract.frames import Joined, Left, ServerFrame

from warren_gateway.delivery.batch import EventBatch, Frame

TRANSPORTS = ("websocket", "sse", "polling")
CLOSE_GRACE = 10.0
"""Seconds for the peer to read what lies in the buffer and answer the close; then the connection is aborted."""
RETURN_WITHIN = 3_000
"""Milliseconds over which clients that are sent away spread their return."""


class Subscriber(Protocol):
    """Somebody's way of getting a room's events, and of seeing who is there.

    No call but `drained` waits; a subscriber that can't keep up cuts itself.
    """

    @property
    def user(self) -> str:
        """Who reads."""

    def send(self, frame: Joined) -> None:
        """Take note of the subscription."""

    def subscription_ended(self, frame: Left) -> None:
        """Take note that the subscription has ended by itself."""

    def subscription_lost(self, room: str) -> None:
        """Take note that the subscription has to be asked for again, at one's cursor; `room` as clients name it."""

    def broadcast(self, batch: EventBatch) -> None:
        """Take events."""

    def broadcast_ephemeral(self, frame: Frame) -> None:
        """Take what is not stored."""

    async def drained(self) -> bool:
        """Wait until what was sent is on its way; False if the subscriber is gone."""


class Transport(Protocol):
    """What carries frames to one client. No call but `drained` waits; who does not read is cut."""

    name: str
    """One of TRANSPORTS."""

    def send_frame(self, frame: ServerFrame) -> None:
        """Carry a frame that is for this client alone."""

    def broadcast(self, frame: Frame) -> None:
        """Carry a frame that goes to many."""

    async def drained(self) -> bool:
        """Wait until what was carried is on its way; False if nothing more can be."""

    def end(self, code: Close, reason: str) -> None:
        """Close with this verdict."""
