"""Batches of a room's events: whatever is joined, cut and split, each event is there once, and the places are right."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json
from warren.contract.events import CHANGES_ACCESS, ENDS_READING
from warren.contract.sizes import SERVER_BODY_LIMIT
from warren_gateway.delivery.batch import (
    BATCH_BYTES,
    COPIES,
    EVERYBODY,
    MERGE_BYTES,
    OPENING_BYTES,
    EventBatch,
    Frame,
    cut,
    identities,
    merge,
    pack,
    packs,
    split,
    trim,
    weight,
)

ROOM = "general"
KINDS = ("message", *sorted(ENDS_READING), *sorted(CHANGES_ACCESS), "of.tomorrow")
Event = dict[str, Any]


def event(seq: int, kind: str = "message", text: str = "x", number: int = 0) -> Event:
    about = {"user": f"u{seq}"} if kind.startswith("member.") else {}
    return {"id": f"i{seq}", "seq": seq, "type": kind, "text": text, **({"number": number} if number else {}), **about}


@st.composite
def logs(draw: st.DrawFn, longest: int = 50) -> tuple[list[Event], int]:
    """Return contiguous events, and the number as of the last."""
    number, found = draw(st.integers(0, 100)), list[Event]()
    first = draw(st.integers(1, 1_000))
    for seq in range(first, first + draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(KINDS))
        number += kind == "message"
        text = "x" * draw(st.integers(0, longest))
        found.append(event(seq, kind, text, number if kind == "message" else 0))
    return found, number


def events_of(batch: EventBatch) -> list[Event]:
    frame = from_json(batch.body)
    assert (frame["type"], frame["room"]) == ("events", batch.room)
    found: list[Event] = frame["events"]
    return found


def right(batch: EventBatch) -> bool:
    """Whether what a batch says of its events is what stands in it."""
    found = events_of(batch)
    changes = {"revocations": ENDS_READING, "access_changes": CHANGES_ACCESS}
    return (batch.first, batch.last) == (found[0]["seq"], found[-1]["seq"]) and all(
        getattr(batch, name)
        == tuple((one["seq"], one.get("user", EVERYBODY), one["type"]) for one in found if one["type"] in kinds)
        for name, kinds in changes.items()
    )


@given(logs(), st.integers(0, 12))
def test_what_is_trimmed_and_cut_leaves_the_events_between(log: tuple[list[Event], int], place: int) -> None:
    events, number = log
    at = events[0]["seq"] + place - 1
    batch = pack(ROOM, events, number)
    assert right(batch)
    if at < batch.last:
        rest = trim(batch, at)
        assert right(rest)
        assert events_of(rest) == [one for one in events if one["seq"] > at]
        assert rest.number == number
    if at >= batch.first:
        start = cut(batch, at)
        assert right(start)
        assert events_of(start) == [one for one in events if one["seq"] <= at]


@given(logs(), st.lists(st.integers(1, 4), max_size=12))
def test_batches_that_follow_each_other_become_one(log: tuple[list[Event], int], sizes: list[int]) -> None:
    events, number = log
    batches, left = [], events
    for size in [*sizes, len(events)]:
        if left:
            batches.append(pack(ROOM, left[:size], number - sum("number" in one for one in left[size:])))
        left = left[size:]
    (merged,) = merge(ROOM, batches)
    assert right(merged)
    assert (events_of(merged), merged.number) == (events, number)


def test_batches_with_a_gap_between_them_stay_apart() -> None:
    batches = [pack(ROOM, [event(1)], 1), pack(ROOM, [event(3)], 2), pack(ROOM, [event(4)], 3)]
    assert [(one.first, one.last) for one in merge(ROOM, batches)] == [(1, 1), (3, 4)]


def test_no_more_is_joined_than_there_may_be_in_one() -> None:
    batches = [pack(ROOM, [event(seq, text="x" * (MERGE_BYTES // 3))], seq) for seq in range(1, 8)]
    merged = merge(ROOM, batches)
    assert [(one.first, one.last) for one in merged] == [(1, 2), (3, 4), (5, 6), (7, 7)]
    assert all(len(one.body) <= MERGE_BYTES for one in merged)


def test_what_another_version_writes_differently_is_passed_on_as_it_is() -> None:
    """It may have other fields, or blanks: its body is nobody's to take apart."""
    odd = EventBatch(ROOM, b'{"type": "events", "room": "general", "events": [{"seq":2}], "new": 1}', 2, 2, 2)
    merged = merge(ROOM, [pack(ROOM, [event(1)], 1), odd, pack(ROOM, [event(3)], 3)])
    assert [one.body for one in merged][1] == odd.body
    assert [(one.first, one.last) for one in merged] == [(1, 1), (2, 2), (3, 3)]


def test_what_each_batch_says_of_access_is_joined_too() -> None:
    removed, muted = min(ENDS_READING), "member.muted"
    first, second = pack(ROOM, [event(1, removed)], 0), pack(ROOM, [event(2, muted), event(3, "room.archived")], 0)
    (merged,) = merge(ROOM, [first, second])
    assert merged.revocations == ((1, "u1", removed),)
    assert merged.access_changes == ((2, "u2", muted), (3, EVERYBODY, "room.archived"))


@pytest.mark.parametrize("kinds", [["message"] * 7, ["message", "of.tomorrow", "member.muted"] * 3])
@pytest.mark.parametrize("share", [10, 3, 2])
def test_each_piece_fits_into_a_frame_and_knows_how_many_messages_there_are(kinds: list[str], share: int) -> None:
    text, number = "x" * (SERVER_BODY_LIMIT // share), kinds.count("message")
    events = [
        event(seq, kind, text, kinds[:seq].count("message") if kind == "message" else 0)
        for seq, kind in enumerate(kinds, start=1)
    ]
    whole = pack(ROOM, events, number)
    pieces = split(whole)
    assert len(pieces) == 1 if share == 10 else len(pieces) >= len(events) / share
    assert [one for piece in pieces for one in events_of(piece)] == events
    assert all(right(piece) and len(piece.body) <= SERVER_BODY_LIMIT for piece in pieces)
    assert all(before.last + 1 == after.first for before, after in pairwise(pieces))
    for piece in pieces:
        assert piece.number == number - sum("number" in one for one in events if one["seq"] > piece.last)


def test_the_longest_room_leaves_room_for_its_events() -> None:
    room = "r" * 64
    opening = len(to_json({"type": "events", "room": room, "events": []}))
    assert opening <= OPENING_BYTES
    fits = "x" * (SERVER_BODY_LIMIT - OPENING_BYTES - len(to_json(event(1, text=""))) - 1)
    (piece,) = packs(room, [event(1, text=fits)], 1)
    assert len(piece.body) <= SERVER_BODY_LIMIT
    assert events_of(piece)[0]["text"] == fits
    assert [(one.first, one.number) for one in packs(room, [event(1, number=4), event(2, text=fits, number=5)], 5)] == [
        (1, 4),
        (2, 5),
    ]


def test_a_frame_is_encoded_once_for_each_transport() -> None:
    frame, times = Frame(ROOM, b"{}", kind="presence"), list[str]()

    def one(found: Frame) -> bytes:
        times.append("one")
        return found.body + b"1"

    def other(found: Frame) -> bytes:
        times.append("other")
        return found.body + b"2"

    assert [frame.encoded(encode) for encode in (one, other, one, other)] == [b"{}1", b"{}2", b"{}1", b"{}2"]
    assert times == ["one", "other"]


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_batch_weighs_what_is_kept_of_it(size: int) -> None:
    batch = pack(ROOM, [event(1, text="x" * size)], 1)
    batch.encoded(lambda frame: b"a" + frame.body)
    batch.encoded(lambda frame: b"b" + frame.body)
    kept = [batch.body, *batch._encoded.values()]
    assert len(kept) == COPIES
    assert weight(batch) >= sum(len(one) for one in kept)
    assert weight(batch) <= BATCH_BYTES + COPIES * len(batch.body)


def test_events_are_named_for_the_log() -> None:
    assert identities(pack(ROOM, [event(1), event(2)], 2)) == [("i1", 1), ("i2", 2)]
