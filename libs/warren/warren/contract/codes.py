"""Close codes and error codes. A close code carries the verdict: 4000-4499 reconnect, 4500-4999 do not."""

from enum import IntEnum, StrEnum


class Close(IntEnum):
    """Why the server closed a WebSocket."""

    FAILED = 4000
    GOING_AWAY = 4001
    SILENT = 4002
    KEY_UNKNOWN = 4003
    SLOW_CONSUMER = 4008
    TOO_MANY = 4029
    BAD_FRAME = 4501
    NO_HELLO = 4502
    TOKEN_REFUSED = 4503
    FLOODING = 4505


class Code(StrEnum):
    """Why a frame, request or command was refused."""

    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    EXISTS = "exists"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


TEMPORARY = frozenset({Code.TOO_MANY, Code.UNAVAILABLE})
"""The codes after which the same command, with the same key, may succeed."""
