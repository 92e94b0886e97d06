"""The transport of a test's client: it carries frames of the protocol, whatever it is made of."""

from typing import Any, Literal, Protocol, get_args

Frame = dict[str, Any]
TransportName = Literal["websocket", "sse", "polling"]
TRANSPORTS: tuple[TransportName, ...] = get_args(TransportName)
FRAME_BYTES = 256 * 1024
"""What no frame to a client is larger than, nor a stream's event, nor a poll's answer."""
WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""


class TransportClosed(Exception):
    """Nothing more comes: the gateway has ended it with this close code, or it broke (None). `why` is for people.

    What has no close code of its own is told by the one that the WebSocket has for it: a 401 is 4503, a 429 is 4029.
    """

    def __init__(self, code: int | None, why: str = "") -> None:
        super().__init__(code, why)
        self.code = code


class Transport(Protocol):
    """One connection, or what stands for one."""

    async def say(self, frame: Frame) -> None:
        """Say a frame of the WebSocket's; its answer, if any, is heard as one. Raises LineClosed."""

    async def hear(self) -> Frame:
        """Return the next frame. Raises LineClosed."""

    def drop(self) -> None:
        """Lose the connection as a network does: without a word."""
