"""Events of a room as they come and go: the JSON of a client frame, and what it takes to place it. No I/O."""

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json
from warren.contract.events import CHANGES_STANDING, ENDS_READING
from warren.contract.sizes import SERVER_BODY_LIMIT, groups

COPIES = 3
"""An event is kept as it came, as a WebSocket's frame and as a stream's event."""
CHUNK_BYTES = 500
"""What a chunk takes besides."""
MERGE_BYTES = 64 * 1024
"""Chunks that arrive together are joined up to this size."""
OPENING_BYTES = 128
"""What a frame has around its events, the room's id of up to 64 characters included."""

Turn = tuple[int, str, str]
"""An event that changes what somebody may do: its seq, the user, its type."""
EVERYBODY = ""
"""The user of an event that changes what nobody may do."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A client frame, as JSON, that goes to many. `kind` is its type, `room` as clients name it."""

    room: str
    body: bytes
    kind: str = field(kw_only=True)
    _encoded: dict["Encode", bytes] = field(default_factory=dict, compare=False, repr=False, kw_only=True)

    def encoded(self, encode: "Encode") -> bytes:
        """Return the frame as a transport writes it; encoded once, however many connections get it."""
        found = self._encoded.get(encode)
        if found is None:
            found = self._encoded[encode] = encode(self)
        return found


Encode = Callable[[Frame], bytes]


@dataclass(frozen=True, slots=True)
class Chunk(Frame):
    """Events `first` to `last` of a room; `number`: the room's messages up to `last`.

    `ends`: those of the events that end somebody's reading, in order; `standings`: those that change what somebody who
    may read may do.
    """

    first: int
    last: int
    number: int
    ends: tuple[Turn, ...] = ()
    standings: tuple[Turn, ...] = ()
    kind: str = field(default="events", kw_only=True)


def weight(chunk: Chunk) -> int:
    """Return how many bytes a chunk takes when it has been sent over all transports."""
    return CHUNK_BYTES + COPIES * len(chunk.body)


def trim(chunk: Chunk, after: int) -> Chunk:
    """Return the chunk without its events up to seq `after`."""
    if chunk.first > after:
        return chunk
    return pack(chunk.room, [event for event in from_json(chunk.body)["events"] if event["seq"] > after], chunk.number)


def merge(room: str, chunks: list[Chunk]) -> list[Chunk]:
    """Join chunks of a room that follow each other, up to MERGE_BYTES, without decoding what is in them.

    `room` is as clients name it.
    """
    opening = b'{"type":"events","room":"%s","events":[' % room.encode()
    merged: list[list[Chunk]] = []
    size = 0
    for chunk in chunks:
        plain = chunk.body.startswith(opening) and chunk.body.endswith(b"]}")
        size += len(chunk.body)
        if merged and plain and chunk.first == merged[-1][-1].last + 1 and size <= MERGE_BYTES:
            merged[-1].append(chunk)
        else:
            merged.append([chunk])
            size = len(chunk.body) if plain else MERGE_BYTES
    return [_join(room, opening, group) for group in merged]


def _join(room: str, opening: bytes, group: list[Chunk]) -> Chunk:
    if len(group) == 1:
        return group[0]
    body = opening + b",".join(chunk.body[len(opening) : -2] for chunk in group) + b"]}"
    ends = tuple(turn for chunk in group for turn in chunk.ends)
    standings = tuple(turn for chunk in group for turn in chunk.standings)
    return Chunk(room, body, group[0].first, group[-1].last, group[-1].number, ends, standings)


def cut(chunk: Chunk, at: int) -> Chunk:
    """Return the chunk without its events after seq `at`."""
    if chunk.last <= at:
        return chunk
    return pack(chunk.room, [event for event in from_json(chunk.body)["events"] if event["seq"] <= at], chunk.number)


def identities(chunk: Chunk) -> list[tuple[str, int]]:
    """Return the id and seq of each event, for the log."""
    return [(event["id"], event["seq"]) for event in from_json(chunk.body)["events"]]


def pack(room: str, events: list[dict[str, Any]], number: int) -> Chunk:
    """Return contiguous events, one at least, as a chunk; `room` is as clients name it."""
    body = to_json({"type": "events", "room": room, "events": events})
    ends, standings = _turns(events, ENDS_READING), _turns(events, CHANGES_STANDING)
    return Chunk(room, body, events[0]["seq"], events[-1]["seq"], number, ends, standings)


def packs(room: str, events: list[dict[str, Any]], number: int) -> list[Chunk]:
    """Return contiguous events as chunks each of which fits into a frame; `number`: as of the last event."""
    found: list[Chunk] = []
    for group in reversed(groups(events, SERVER_BODY_LIMIT - OPENING_BYTES)):
        found.append(pack(room, group, number))
        number -= sum("number" in event for event in group)
    return found[::-1]


def split(chunk: Chunk) -> list[Chunk]:
    """Return the chunk in pieces each of which fits into a frame: other versions of the writer may send larger ones."""
    if len(chunk.body) <= SERVER_BODY_LIMIT:
        return [chunk]
    return packs(chunk.room, from_json(chunk.body)["events"], chunk.number)


def _turns(events: list[dict[str, Any]], kinds: Container[str]) -> tuple[Turn, ...]:
    return tuple(
        (event["seq"], event.get("user", EVERYBODY), event["type"]) for event in events if event["type"] in kinds
    )
