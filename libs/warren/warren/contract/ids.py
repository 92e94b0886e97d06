"""Identifiers: their syntax, and how they are made."""

import os
import time
from hashlib import sha256
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from warren.contract.text import must_show, one_line, shown_line

ROOM_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
USER_PATTERN = r"^[A-Za-z0-9_.@+-]{1,128}$"
KEY_PATTERN = r"^[\x20-\x7e]{1,64}$"
TEXT_LIMIT = 4_000
"""The most characters (Unicode code points) that one message holds."""


RoomId = Annotated[str, StringConstraints(pattern=ROOM_PATTERN)]
UserId = Annotated[str, StringConstraints(pattern=USER_PATTERN)]
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
"""Made by the client; unique for ever per (room, sender). The same key again means the same command again."""
StoredText = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LIMIT)]
"""A text in the log, which may be older than what is asked of a new one."""
Text = Annotated[StoredText, AfterValidator(must_show)]
StoredLine = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A title or reason in the log, likewise."""
Title = Annotated[StoredLine, AfterValidator(shown_line)]
Seq = Annotated[int, Field(ge=1, le=2**53 - 1)]
"""A place in a room's log. Its bound is what a JavaScript number holds exactly, and well within BSON's."""
Cursor = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""The last seq that somebody has; 0 before the first."""
Reason = Annotated[StoredLine, AfterValidator(shown_line)]
"""Why a moderator did something, for the one it was done to."""
GivenName = Annotated[str, StringConstraints(max_length=128), AfterValidator(one_line)]
"""A name as whoever is at the broker gives it: people's were checked when they signed in."""
DisplayName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(shown_line)
]


def new_id() -> str:
    """Return 32 hex digits: unique, and rising with time (microseconds first) so that logs sort by it."""
    return f"{time.time_ns() // 1_000:014x}{os.urandom(9).hex()}"  # as good as `secrets`, at half its price


MYSELF = "me"
"""What stands for oneself where a user id is expected; so nobody can have it as their id."""
INBOX = "@me"
"""What a client calls its own inbox room; nobody can name another's."""
RoomRef = Annotated[str, StringConstraints(pattern=rf"^({INBOX}|{ROOM_PATTERN[1:-1]})$")]
"""A room as clients name it: its id, or `@me`."""
_INBOX_PREFIX = "me-"
_DIRECT_PREFIX = "dm-"


def inbox_room(user: str) -> str:
    """Return the id of the room that tells what befalls `user`: a hash, since user ids hold more than room ids may."""
    return _INBOX_PREFIX + _digest(user)


def direct_room(one: str, other: str) -> str:
    """Return the id of the room of two people, the same whoever asks first."""
    return _DIRECT_PREFIX + _digest("\n".join(sorted((one, other))))


def is_inbox(room: str) -> bool:
    """Whether the id is of an inbox room."""
    return room.startswith(_INBOX_PREFIX)


def is_direct(room: str) -> bool:
    """Whether the id is of a direct room."""
    return room.startswith(_DIRECT_PREFIX)


def is_reserved(room: str) -> bool:
    """Whether nobody may make a room of this id by hand: it could be squatted on."""
    return room.startswith((_INBOX_PREFIX, _DIRECT_PREFIX))


def shown(room: str) -> str:
    """Return the room as clients name it: the only inbox that a client ever sees is its own."""
    return INBOX if is_inbox(room) else room


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:40]
