"""What a gateway knows of a room that somebody here follows: its head, and its latest events. No I/O.

Events come in chunks, each the JSON of a client frame, and go out as they came: nothing is decoded on the way. The
view's promise is that what `offer` returns is gap-free, in order, and each seq once.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json
from warren.contract.events import CHANGES_STANDING, ENDS_READING
from warren.contract.sizes import SERVER_BODY_LIMIT, groups

RING_EVENTS = 512
"""Events kept for those who resume; who was away for longer is served from the store."""
RING_BYTES = 1536 * 1024
"""That they take, as `weight` counts it: 512 KiB of them as they came."""
COPIES = 3
"""An event is kept as it came, as a WebSocket's frame and as a stream's event."""
CHUNK_BYTES = 500
"""What a chunk takes besides."""
MERGE_BYTES = 64 * 1024
"""Chunks that arrive together are joined up to this size."""
OPENING_BYTES = 128
"""What a frame has around its events, the room's id of up to 64 characters included."""
PENDING_CHUNKS = 64
"""Chunks kept beyond a hole; if more come, they are read from the store with the hole."""
PENDING_BYTES = 1024 * 1024
"""The same in bytes."""


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


class ReplayBuffers:
    """The rings of all rooms, which together keep to a bound: who was used least recently gives up the oldest."""

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.bytes = 0
        self._views: OrderedDict[RoomView, None] = OrderedDict()

    def used(self, view: "RoomView") -> None:
        """Somebody has come, or something: this one goes last."""
        self._views[view] = None
        self._views.move_to_end(view)

    def resized(self, by: int) -> None:
        """A ring has become larger or smaller by so many bytes."""
        self.bytes += by
        while by > 0 and self.bytes > self.limit and self._views:
            view = next(iter(self._views))
            if not view.forget_oldest():
                del self._views[view]

    def forget(self, view: "RoomView") -> None:
        """The room is followed no more."""
        view.detach()
        self._views.pop(view, None)


class RoomView:
    """A room's head, ring and readers. `head` is None until the store has told it."""

    def __init__(self, room: str, buffers: ReplayBuffers | None = None) -> None:
        self.room = room
        self.epoch = ""
        self.head: int | None = None
        self.number = 0
        self.seen = 0
        """The highest seq heard of: above `head` there is something to fetch."""
        self._buffers = ReplayBuffers() if buffers is None else buffers
        self._ring: deque[Chunk] = deque()
        self._ring_bytes = 0
        self._pending: list[Chunk] = []

    @property
    def behind(self) -> bool:
        """Whether events are known to exist that the view does not have."""
        return self.head is not None and self.seen > self.head

    def load(self, epoch: str, head: int, number: int) -> list[Chunk]:
        """Set where the room stands, as the store says; return what arrived meanwhile and follows."""
        self.epoch, self.head, self.number = epoch, head, number
        self.seen = max(self.seen, head)
        self.forget_all()
        return self._drain()

    def note(self, head: int) -> None:
        """Take note that the log reaches to `head`."""
        self.seen = max(self.seen, head)

    def ends_at(self, head: int) -> None:
        """Take note that the log reaches to `head` and no further, whatever was heard of."""
        self.seen = max(self.head or 0, head)

    def forget_oldest(self) -> bool:
        """Give up the oldest chunk of the ring; return whether there was one."""
        if not self._ring:
            return False
        self._resize(-weight(self._ring.popleft()))
        return True

    def forget_all(self) -> None:
        """Give up the ring."""
        self._ring.clear()
        self._resize(-self._ring_bytes)

    def detach(self) -> None:
        """Count with the others no more, whoever still works on it."""
        self.forget_all()
        self._buffers = ReplayBuffers()

    def _resize(self, by: int) -> None:
        self._ring_bytes += by
        self._buffers.resized(by)

    def offer(self, chunk: Chunk) -> list[Chunk]:
        """Take a chunk; return what now follows the head, trimmed of what was known. After a hole: nothing."""
        self.seen = max(self.seen, chunk.last)
        if self.head is None or chunk.first > self.head + 1:
            self._wait(chunk)
            return []
        return self._append(chunk) + self._drain()

    def reaches(self, since: int) -> bool:
        """Whether all that is known of what follows `since` is here."""
        return self.head is None or since >= self.head or (bool(self._ring) and self._ring[0].first <= since + 1)

    def replay(self, since: int, limit: int) -> list[Chunk] | None:
        """Return the events after `since`, up to about `limit` bytes; None if the ring does not reach back so far."""
        if self.head is None or since >= self.head:
            return []
        if not self.reaches(since):
            return None
        self._buffers.used(self)
        found: list[Chunk] = []
        for chunk in self._ring:
            if chunk.last > since:
                found.append(trim(chunk, since))
                limit -= len(chunk.body)
                if limit <= 0:
                    break
        return found

    def _wait(self, chunk: Chunk) -> None:
        """Keep a chunk until what is before it is there."""
        waiting = sum(len(each.body) for each in self._pending) + len(chunk.body)
        if len(self._pending) >= PENDING_CHUNKS or waiting > PENDING_BYTES:
            self._pending.clear()
        self._pending.append(chunk)

    def _drain(self) -> list[Chunk]:
        """Apply what waited beyond the hole, as far as it reaches now."""
        if not self._pending:
            return []
        waiting, self._pending = sorted(self._pending, key=lambda chunk: chunk.first), []
        applied: list[Chunk] = []
        for chunk in waiting:
            if self.head is not None and chunk.first <= self.head + 1:
                applied += self._append(chunk)
            else:
                self._pending.append(chunk)
        return applied

    def _append(self, chunk: Chunk) -> list[Chunk]:
        if self.head is None or chunk.last <= self.head:
            return []
        chunk = trim(chunk, self.head)
        self.head, self.number = chunk.last, chunk.number
        self._ring.append(chunk)
        self._buffers.used(self)
        self._resize(weight(chunk))
        while self._ring and (
            self._ring_bytes > RING_BYTES or self._ring[-1].last - self._ring[0].first >= RING_EVENTS
        ):
            self.forget_oldest()
        return [chunk]


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
