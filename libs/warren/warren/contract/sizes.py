"""How large what goes to clients may be, counted in bytes as it goes over the wire.

A character takes up to six bytes in JSON (U+0001 is `\\u0001`), so a bound on characters or events is none on bytes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

SERVER_FRAME_LIMIT = 256 * 1024
"""The most bytes in one frame to a client, a stream's event or a poll's answer: a quarter of what clients commonly take
before they close with 1009."""
FRAMING = 8 * 1024
"""What a transport adds to a frame's body at most: the cursor of all rooms behind each event of a stream."""
SERVER_BODY_LIMIT = SERVER_FRAME_LIMIT - FRAMING
"""The most bytes in the body of a frame."""
RUN_LIMIT = 128 * 1024
"""The most bytes of events in one message of the broker: what a gateway takes in, it passes on as it is."""
EVENT_LIMIT = 32 * 1024
"""The most bytes of one event: 4,000 characters of text, two names and a title, each character as long as can be."""
FIELD_LIMIT = 1024
FIELDS = 20


def size(value: object) -> int:
    """Return how many bytes something takes as JSON."""
    return len(to_json(value))


def groups(events: Iterable[dict[str, Any]], limit: int) -> list[list[dict[str, Any]]]:
    """Return the events, in order, in groups of at most `limit` bytes; one that is too large by itself is pruned."""
    found: list[list[dict[str, Any]]] = []
    left = 0
    for event in events:
        length = size(event) + 1  # and a comma
        if length > limit:
            event, length = _pruned(event), limit  # noqa: PLW2901
        if not found or length > left:
            found.append([])
            left = limit
        found[-1].append(event)
        left -= length
    return found


def first_within(events: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the first of the events that take at most `limit` bytes, and one at least."""
    return next(iter(groups(events, limit)), [])


def last_within(events: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the last of the events that take at most `limit` bytes, and one at least."""
    return next(iter(groups(reversed(events), limit)), [])[::-1]


def _pruned(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without what is too long in it: of a kind that this version does not know, for it stores none.

    Its place in the log must be shown: a client that is given nothing would ask for it for ever.
    """
    small = ((name, value) for name, value in event.items() if size(value) <= FIELD_LIMIT)
    return dict(list(small)[:FIELDS])
