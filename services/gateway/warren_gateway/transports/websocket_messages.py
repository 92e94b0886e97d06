"""WebSocket messages: a client's bytes come in, whole messages and control frames come out. No I/O."""

from warren.contract.codes import Close

from warren_gateway.transports import websocket_frames as ws

FRAGMENTS = 1_000
"""Fragments of one message: the limit on its size does not see empty ones."""

Message = tuple[int, bytes]
"""Opcode and payload. CONTINUATION stands for a fragment that is not the last of its message, and has no payload."""


class MessageReader:
    """Takes what a client sends, in whatever pieces, and gives its messages. `limit`: bytes of one of them."""

    __slots__ = ("_fragments", "_frames", "_opcode")

    def __init__(self, limit: int) -> None:
        self._frames = ws.FrameReader(limit)
        self._fragments: list[bytes] = []
        self._opcode = ws.TEXT
        """Of the message whose fragments there are."""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._frames.feed(data)

    def clear(self) -> None:
        """Forget what has come."""
        self._frames.clear()
        self._fragments = []

    def next(self) -> Message | None:
        """Return the next message or control frame; None if there is none yet. Raises FrameError."""
        found = self._frames.next()
        if found is None:
            return None
        opcode, fin, payload = found
        if opcode != ws.CONTINUATION:
            if fin:
                return opcode, payload
            self._opcode = opcode
        self._fragments.append(payload)
        if fin:
            whole, self._fragments = b"".join(self._fragments), []
            return self._opcode, whole
        if len(self._fragments) > FRAGMENTS:
            raise ws.FrameError(Close.BAD_FRAME, "too many fragments")
        return ws.CONTINUATION, b""
