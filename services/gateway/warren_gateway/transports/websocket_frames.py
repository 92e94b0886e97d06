"""WebSocket frames as a server has them (RFC 6455): a client's bytes come in, frames go out, and the reverse. No I/O.

No extension is spoken here, so the reserved bits are zero. What a library's parser does beyond this is for
both sides of a connection, for extensions and for handshakes.
"""

import struct

import websockets.frames
from websockets.exceptions import ProtocolError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_FIN, _RESERVED, _OPCODE, _CONTROL = 0x80, 0x70, 0x0F, 0x08
_MASKED, _LENGTH, _CONTROL_LENGTH, _LONGER, _LONGEST = 0x80, 0x7F, 125, 126, 127
_HEAD, _MASK = 2, 4
"""Bytes of a head without the longer form of its length, and of the mask behind it."""

PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1002, 1007, 1009
"""Close codes, as RFC 6455 has them."""

Frame = tuple[int, bool, bytes]
"""Opcode, whether it is the last of its message, and payload."""

_apply_mask = vars(websockets.frames)["apply_mask"]
"""The library's, compiled where it could be."""


class FrameError(Exception):
    """The client breaks the protocol: it is to be closed with this code, and nothing after that is read."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Takes what a client sends, in whatever pieces, and gives its frames one by one.

    `limit`: bytes of a message, over all its fragments. What is kept is part of one frame, and what has come with it.
    """

    __slots__ = ("_at", "_data", "_limit", "_message")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data: bytes | bytearray = b""
        self._at = 0
        self._message: int | None = None
        """Bytes of the message that is under way; None if there is none."""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self._at == len(self._data):
            self._data, self._at = data, 0  # as nearly always: nothing is copied
            return
        rest = self._data
        if isinstance(rest, bytes):
            rest = bytearray(memoryview(rest)[self._at :])
        else:
            del rest[: self._at]
        rest += data  # which costs the length of the piece alone, however many there are
        self._data, self._at = rest, 0

    def clear(self) -> None:
        """Forget what has come."""
        self._data, self._at = b"", 0

    def next(self) -> Frame | None:
        """Return the next frame that is complete; None if there is none yet. Raises FrameError."""
        data, at = self._data, self._at
        size = len(data)
        if size - at < _HEAD:
            if size == at:
                self.clear()  # who is silent keeps no read of up to 256 KB alive
            return None
        first, second = data[at], data[at + 1]
        opcode, fin, length = first & _OPCODE, first >= _FIN, second & _LENGTH
        self._check(first, second, opcode)
        start = at + _HEAD + _MASK
        if length > _CONTROL_LENGTH:
            start += 2 if length == _LONGER else 8
            if size < start - _MASK:
                return None
            length = int.from_bytes(data[at + _HEAD : start - _MASK])
        if length > self._limit - (self._message or 0):
            raise FrameError(TOO_BIG, f"more than {self._limit} bytes")
        end = start + length
        if size < end:
            return None
        self._at = end
        if not opcode & _CONTROL:
            self._message = None if fin else (self._message or 0) + length
        return opcode, fin, _apply_mask(data[start:end], data[start - _MASK : start])

    def _check(self, first: int, second: int, opcode: int) -> None:
        """Judge a head by its first two bytes. Raises FrameError."""
        if first & _RESERVED or opcode not in _OPCODES:
            raise FrameError(PROTOCOL_ERROR, "reserved bits or opcode")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "not masked")
        if opcode & _CONTROL:
            if second & _LENGTH > _CONTROL_LENGTH or first < _FIN:
                raise FrameError(PROTOCOL_ERROR, "a control frame that is too long, or not whole")
            if opcode == CLOSE and self._message is not None:
                raise FrameError(PROTOCOL_ERROR, "a close within a message")
        elif (opcode == CONTINUATION) is (self._message is None):
            raise FrameError(PROTOCOL_ERROR, "a fragment out of place")


def text_of(payload: bytes) -> str:
    """Return what a text message says. Raises FrameError."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise FrameError(NOT_UTF8, "not UTF-8") from error


def check_close(payload: bytes) -> None:
    """Raise FrameError unless this is what a close frame may say."""
    try:
        websockets.frames.Close.parse(payload)
    except ProtocolError as error:
        raise FrameError(PROTOCOL_ERROR, "not a close code") from error
    except UnicodeDecodeError as error:
        raise FrameError(NOT_UTF8, "not UTF-8") from error


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame, with as much of the reason as it holds."""
    said = reason.encode()[: _CONTROL_LENGTH - 2].decode(errors="ignore")  # no part of a character
    return frame(CLOSE, code.to_bytes(2) + said.encode())


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame, not masked, as a server sends it."""
    length = len(payload)
    if length <= _CONTROL_LENGTH:
        return bytes((_FIN | opcode, length)) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, _LONGER, length) + payload
    return struct.pack("!BBQ", _FIN | opcode, _LONGEST, length) + payload
