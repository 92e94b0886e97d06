"""A batch of a room's events, which passes from broker to socket: the JSON of a client frame, and its place. No I/O."""

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json
from warren.contract.events import CHANGES_ACCESS, ENDS_READING
from warren.contract.sizes import SERVER_BODY_LIMIT, groups

COPIES = 3
"""An event is kept as it came, as a WebSocket's frame and as a stream's event."""
BATCH_BYTES = 500
"""What a batch takes besides."""
MERGE_BYTES = 64 * 1024
"""Batches that arrive together are joined up to this size."""
OPENING_BYTES = 128
"""What a frame has around its events, the room's id of up to 64 characters included."""

AccessChange = tuple[int, str, str]
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
class EventBatch(Frame):
    """Events `first` to `last` of a room; `number`: the room's messages up to `last`.

    `revocations`: those of the events that end somebody's reading, in order; `access_changes`: those that change
    what somebody who may read may do.
    """

    first: int
    last: int
    number: int
    revocations: tuple[AccessChange, ...] = ()
    access_changes: tuple[AccessChange, ...] = ()
    kind: str = field(default="events", kw_only=True)


def weight(batch: EventBatch) -> int:
    """Return how many bytes a batch takes when it has been sent over all transports."""
    return BATCH_BYTES + COPIES * len(batch.body)


def trim(batch: EventBatch, after: int) -> EventBatch:
    """Return the batch without its events up to seq `after`."""
    if batch.first > after:
        return batch
    return pack(batch.room, [event for event in from_json(batch.body)["events"] if event["seq"] > after], batch.number)


def merge(room: str, batches: list[EventBatch]) -> list[EventBatch]:
    """Join batches of a room that follow each other, up to MERGE_BYTES, without decoding what is in them.

    `room` is as clients name it.
    """
    opening = b'{"type":"events","room":"%s","events":[' % room.encode()
    merged: list[list[EventBatch]] = []
    size = 0
    for batch in batches:
        plain = batch.body.startswith(opening) and batch.body.endswith(b"]}")
        size += len(batch.body)
        if merged and plain and batch.first == merged[-1][-1].last + 1 and size <= MERGE_BYTES:
            merged[-1].append(batch)
        else:
            merged.append([batch])
            size = len(batch.body) if plain else MERGE_BYTES
    return [_join(room, opening, group) for group in merged]


def _join(room: str, opening: bytes, group: list[EventBatch]) -> EventBatch:
    if len(group) == 1:
        return group[0]
    body = opening + b",".join(batch.body[len(opening) : -2] for batch in group) + b"]}"
    revocations = tuple(change for batch in group for change in batch.revocations)
    changes = tuple(change for batch in group for change in batch.access_changes)
    return EventBatch(room, body, group[0].first, group[-1].last, group[-1].number, revocations, changes)


def cut(batch: EventBatch, at: int) -> EventBatch:
    """Return the batch without its events after seq `at`."""
    if batch.last <= at:
        return batch
    return pack(batch.room, [event for event in from_json(batch.body)["events"] if event["seq"] <= at], batch.number)


def identities(batch: EventBatch) -> list[tuple[str, int]]:
    """Return the id and seq of each event, for the log."""
    return [(event["id"], event["seq"]) for event in from_json(batch.body)["events"]]


def pack(room: str, events: list[dict[str, Any]], number: int) -> EventBatch:
    """Return contiguous events, one at least, as a batch; `room` is as clients name it."""
    body = to_json({"type": "events", "room": room, "events": events})
    revocations, changes = _changes(events, ENDS_READING), _changes(events, CHANGES_ACCESS)
    return EventBatch(room, body, events[0]["seq"], events[-1]["seq"], number, revocations, changes)


def packs(room: str, events: list[dict[str, Any]], number: int) -> list[EventBatch]:
    """Return contiguous events as batches each of which fits into a frame; `number`: as of the last event."""
    found: list[EventBatch] = []
    for group in reversed(groups(events, SERVER_BODY_LIMIT - OPENING_BYTES)):
        found.append(pack(room, group, number))
        number -= sum("number" in event for event in group)
    return found[::-1]


def split(batch: EventBatch) -> list[EventBatch]:
    """Return the batch in pieces each of which fits into a frame: other versions of the writer may send larger ones."""
    if len(batch.body) <= SERVER_BODY_LIMIT:
        return [batch]
    return packs(batch.room, from_json(batch.body)["events"], batch.number)


def _changes(events: list[dict[str, Any]], kinds: Container[str]) -> tuple[AccessChange, ...]:
    return tuple(
        (event["seq"], event.get("user", EVERYBODY), event["type"]) for event in events if event["type"] in kinds
    )
