"""What the protocol has done: the typed interface between it and the connection. No I/O."""

from typing import Protocol

from warren.contract import frames as f
from warren.contract.codes import Close
from warren.contract.presence import OnlineStatus

from warren_gateway.auth.tokens import User
from warren_gateway.connections.commands import CommandFrame
from warren_gateway.rooms.subscription import Subscription


class Handler(Protocol):
    """What a connection does for its protocol."""

    def send(self, frame: f.ServerFrame) -> None:
        """Send a frame to the client."""

    def end(self, code: Close, reason: str) -> None:
        """Close the connection; nothing follows."""

    def subscribe(self, join: f.Join, subscription: Subscription | None) -> Subscription:
        """Start to follow a room, or, if there is a subscription to it, from another place."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""

    def submit(self, frame: CommandFrame, user: User) -> None:
        """Submit the command, then call `answered`."""

    def broadcast_typing(self, subscription: Subscription, user: User) -> None:
        """Show the room's others that somebody is typing."""

    def report(self, status: OnlineStatus) -> None:
        """Take note whether anybody is at the device."""
