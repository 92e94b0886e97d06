"""A room replica against a model: whatever batches come, what goes out is gap-free, in order, and each seq once."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from warren.contract.sizes import SERVER_BODY_LIMIT
from warren_gateway.delivery.batch import MERGE_BYTES, EventBatch, Frame, cut, merge, pack, split, trim
from warren_gateway.rooms.replica import PENDING_BATCHES, RING_BYTES, RING_EVENTS, RoomReplica

ROOM = "general"
property_test = settings(max_examples=300, deadline=None)
SPANS = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda span: (span[0], span[0] + span[1]))


def event(seq: int, size: int) -> dict[str, Any]:
    """Every second event is a message, every fourth ends somebody's reading."""
    if seq % 2 == 0:
        return {"seq": seq, "type": "message", "number": seq // 2, "text": "x" * size}
    return {"seq": seq, "type": "member.left" if seq % 4 == 1 else "member.joined", "user": f"u{seq}"}


def batch(first: int, last: int, size: int = 1) -> EventBatch:
    """Return the events `first` to `last`, messages with as many characters as `size`."""
    return pack(ROOM, [event(seq, size) for seq in range(first, last + 1)], last // 2)


def seqs(batches: list[EventBatch]) -> list[int]:
    """Return the seqs in the batches' bodies, and check that their heads tell the truth."""
    found = []
    for each in batches:
        body = json.loads(each.body)
        assert (body["type"], body["room"]) == ("events", ROOM)
        inside = [event["seq"] for event in body["events"]]
        assert inside == list(range(each.first, each.last + 1))
        assert each.revocations == tuple((seq, f"u{seq}", "member.left") for seq in inside if seq % 4 == 1)
        found += inside
    return found


def loaded(head: int = 0) -> RoomReplica:
    replica = RoomReplica(ROOM)
    replica.load("e", head, head // 2)
    return replica


@property_test
@given(st.lists(SPANS, max_size=40), st.integers(0, 20))
def test_what_goes_out_is_gap_free_in_order_and_once(spans: list[tuple[int, int]], head: int) -> None:
    replica = loaded(head)
    known = set(range(1, head + 1))
    out: list[int] = []
    for first, last in spans:
        out += seqs(replica.offer(batch(first, last)))
        known |= set(range(first, last + 1))
        reachable = head
        while reachable + 1 in known:
            reachable += 1
        assert replica.head == reachable
        assert replica.number == reachable // 2
        assert replica.behind == (max(known, default=0) > reachable)
    assert out == list(range(head + 1, (replica.head or 0) + 1))


@property_test
@given(st.lists(SPANS, max_size=20), st.lists(SPANS, max_size=20), st.integers(0, 60))
def test_what_arrives_before_the_load_is_kept_for_it(
    before: list[tuple[int, int]], after: list[tuple[int, int]], head: int
) -> None:
    replica = RoomReplica(ROOM)
    for span in before:
        assert replica.offer(batch(*span)) == []
    out = seqs(replica.load("e", head, head // 2))
    for span in after:
        out += seqs(replica.offer(batch(*span)))
    assert out == list(range(head + 1, (replica.head or 0) + 1))
    known = {seq for first, last in (*before, *after) for seq in range(first, last + 1)} | set(range(1, head + 1))
    assert (replica.head or 0) + 1 not in known


@property_test
@given(st.lists(SPANS, max_size=20), st.integers(0, 70), st.integers(1, 3_000), st.integers(0, 20))
def test_a_replay_is_a_prefix_of_what_was_missed(
    spans: list[tuple[int, int]], since: int, limit: int, head: int
) -> None:
    replica = loaded(head)
    for span in spans:
        replica.offer(batch(*span))
    end = replica.head or 0
    found = replica.replay(since, limit)
    if found is None:
        assert since < head  # nothing before the load is in memory
        return
    replayed = seqs(found)
    assert replayed == list(range(since + 1, since + 1 + len(replayed)))
    assert bool(replayed) == (since < end)
    assert replica.replay(since, 10**9) is not None
    assert seqs(replica.replay(since, 10**9) or []) == list(range(since + 1, end + 1))
    if replayed and replayed[-1] < end:
        assert sum(len(each.body) for each in found) + len(found[0].body) + 500 >= limit // 2


def test_a_replica_that_is_not_loaded_has_nothing_to_replay() -> None:
    assert RoomReplica(ROOM).replay(0, 1_000) == []
    assert not RoomReplica(ROOM).behind


def test_a_noted_head_is_something_to_fetch() -> None:
    replica = loaded(5)
    replica.note(4)
    assert not replica.behind
    replica.note(6)
    assert replica.behind
    replica.offer(batch(6, 6))
    assert not replica.behind


def test_memory_keeps_the_latest_events_and_no_more() -> None:
    replica = loaded()
    for seq in range(1, 2 * RING_EVENTS + 1):
        replica.offer(batch(seq, seq))
    head = 2 * RING_EVENTS
    assert replica.replay(head - RING_EVENTS - 1, 10**9) is None
    kept = replica.replay(head - RING_EVENTS // 2, 10**9)
    assert kept is not None
    assert seqs(kept) == list(range(head - RING_EVENTS // 2 + 1, head + 1))


def test_memory_is_bounded_in_bytes_too() -> None:
    replica = loaded()
    for seq in range(2, 402, 2):
        replica.offer(batch(seq - 1, seq, size=10_000))
    kept = 400
    while replica.replay(kept - 1, 10**9):
        kept -= 1
    replayed = replica.replay(kept, 10**9)
    assert replayed is not None
    assert sum(len(each.body) for each in replayed) <= RING_BYTES


def test_what_waits_beyond_a_gap_is_bounded_and_read_again_later() -> None:
    replica = loaded()
    for number in range(PENDING_BATCHES * 3):
        assert replica.offer(batch(3 + number, 3 + number)) == []
    assert replica.seen == 2 + PENDING_BATCHES * 3
    out = seqs(replica.offer(batch(1, 2)))
    while replica.behind:  # as the registry does: what is missing comes from the store
        head = replica.head or 0
        out += seqs(replica.offer(batch(head + 1, min(head + 50, replica.seen))))
    assert out == list(range(1, replica.seen + 1))


def test_loading_again_forgets_the_old_log() -> None:
    replica = loaded()
    replica.offer(batch(1, 10))
    replica.load("other", 4, 2)
    assert (replica.epoch, replica.head, replica.number) == ("other", 4, 2)
    assert replica.replay(0, 10**9) is None
    assert seqs(replica.offer(batch(5, 6))) == [5, 6]


@property_test
@given(SPANS, st.integers(0, 80))
def test_trim_and_cut_are_the_two_parts_of_a_batch(span: tuple[int, int], at: int) -> None:
    whole = batch(*span)
    inside = range(span[0], span[1] + 1)
    later = [seq for seq in inside if seq > at]
    earlier = [seq for seq in inside if seq <= at]
    if later:
        assert seqs([trim(whole, at)]) == later
        assert trim(whole, at).number == whole.number
    if earlier:
        assert seqs([cut(whole, at)]) == earlier
    if later and not earlier:
        assert trim(whole, at) is whole  # and nothing is decoded
    if earlier and not later:
        assert cut(whole, at) is whole


@property_test
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5), st.integers(1, 9_000)), min_size=1, max_size=30))
def test_merging_keeps_every_event_in_its_order(parts: list[tuple[int, int, int]]) -> None:
    batches = [batch(first, first + length, size) for first, length, size in parts]
    merged = merge(ROOM, batches)
    assert seqs(merged) == seqs(batches)
    assert len(merged) <= len(batches)
    for each in merged:
        assert len(each.body) <= MERGE_BYTES or each in batches
        assert each.number == each.last // 2


def test_what_follows_goes_out_as_one_frame_without_being_decoded() -> None:
    (merged,) = merge(ROOM, [batch(1, 3), batch(4, 4), batch(5, 9)])
    assert merged == batch(1, 9)


def test_a_gap_a_repetition_and_a_size_are_where_merging_stops() -> None:
    spans = [(each.first, each.last) for each in merge(ROOM, [batch(1, 2), batch(4, 5), batch(4, 5), batch(6, 6)])]
    assert spans == [(1, 2), (4, 5), (4, 6)]
    big = [batch(seq, seq, size=30_000) for seq in (2, 3, 4, 5, 6)]
    sizes = [len(each.body) for each in merge(ROOM, big)]
    assert max(sizes) <= MERGE_BYTES
    assert len(sizes) < len(big)


@pytest.mark.parametrize(
    "body",
    [
        b'{"room":"general","type":"events","events":[{"seq":2}]}',
        b'{"type": "events", "room": "general", "events": [{"seq": 2}]}',
        b'{"type":"events","room":"general","events":[{"seq":2}],"of":"a newer replica"}',
    ],
)
def test_a_body_of_another_shape_passes_as_it_is(body: bytes) -> None:
    strange = EventBatch(ROOM, body, 2, 2, 1)
    assert merge(ROOM, [batch(1, 1), strange, batch(3, 3)]) == [batch(1, 1), strange, batch(3, 3)]


@property_test
@given(
    SPANS,
    st.sampled_from([1, 4_000, 30_000, SERVER_BODY_LIMIT, 2 * SERVER_BODY_LIMIT]),
    st.sampled_from("x\x01\N{RABBIT}"),
)
def test_a_batch_that_is_too_large_goes_out_in_pieces(span: tuple[int, int], size: int, character: str) -> None:
    """Also one whose events are too large by themselves, which no version stores: at least its place is shown."""
    events = [
        {**event(seq, 0), **({} if seq % 2 else {"text": character * size})} for seq in range(span[0], span[1] + 1)
    ]
    whole = pack(ROOM, events, span[1] // 2)
    pieces = split(whole)
    assert seqs(pieces) == list(range(span[0], span[1] + 1))
    for each in pieces:
        assert len(each.body) <= SERVER_BODY_LIMIT
        assert each.number == each.last // 2
    if len(whole.body) <= SERVER_BODY_LIMIT:
        assert pieces == [whole]
    shown = [one for each in pieces for one in json.loads(each.body)["events"]]
    if size <= 30_000:
        assert shown == events
    else:
        assert shown == [{name: value for name, value in one.items() if name != "text"} for one in events]


CHANGES = ["member.joined", "member.muted", "member.unmuted"]
OTHERS = ["message", "member.left", "member.banned", "member.role", "room.renamed"]


@property_test
@given(st.lists(st.sampled_from([*CHANGES, *OTHERS]), min_size=1, max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_what_changes_standings_is_named_however_a_batch_is_split_and_joined(
    kinds: list[str], at: int, other: int
) -> None:
    events = [{"seq": seq, "type": kind, "user": f"u{seq}"} for seq, kind in enumerate(kinds, 1)]
    expected = [(seq, f"u{seq}", kind) for seq, kind in enumerate(kinds, 1) if kind in CHANGES]
    whole = pack(ROOM, events, 0)
    assert list(whole.access_changes) == expected
    at = min(at, len(kinds))
    parts = [part for part in (cut(whole, at) if at else None, trim(whole, at) if at < len(kinds) else None) if part]
    for part in parts:
        assert list(part.access_changes) == [change for change in expected if part.first <= change[0] <= part.last]
    assert [change for each in merge(ROOM, parts) for change in each.access_changes] == expected
    replica = loaded()
    offered = [each for part in [*parts, cut(whole, max(1, min(other, len(kinds))))] for each in replica.offer(part)]
    assert [change for each in offered for change in each.access_changes] == expected


def test_an_end_is_no_change_of_standing_and_the_other_way_round() -> None:
    kinds = ["member.left", "member.muted", "member.removed", "member.joined", "member.invited"]
    one = pack(ROOM, [{"seq": seq, "type": kind, "user": "ann"} for seq, kind in enumerate(kinds, 1)], 0)
    assert one.revocations == ((1, "ann", "member.left"), (3, "ann", "member.removed"))
    assert one.access_changes == ((2, "ann", "member.muted"), (4, "ann", "member.joined"))


def test_a_batch_is_encoded_once_for_all_its_readers() -> None:
    calls = []

    def encode(frame: Frame) -> bytes:
        calls.append(frame)
        return b"<" + frame.body + b">"

    one = batch(1, 1)
    assert one.encoded(encode) is one.encoded(encode)
    assert calls == [one]


@property_test
@given(st.lists(SPANS, max_size=12), st.integers(0, 70), st.lists(st.integers(1, 9), max_size=5), st.integers(0, 90))
def test_a_ring_that_is_extended_back_has_no_gap_and_replays_what_follows(
    read: list[tuple[int, int]], head: int, arriving: list[int], since: int
) -> None:
    replica = loaded(head)
    for number, (first, last) in enumerate(read):
        known = replica.head or 0
        if first <= (last := min(last, known)):
            middle = (first + last) // 2
            replica.extend_back([batch(first, middle), *([batch(middle + 1, last)] if middle < last else [])])
        for length in arriving[number : number + 1]:
            replica.offer(batch(known + 1, known + length))
    found = replica.replay(since, 10**9)
    if found is not None:
        assert seqs(found) == list(range(since + 1, (replica.head or 0) + 1))


def test_what_is_read_reaches_those_who_come_next() -> None:
    replica = loaded(20)
    assert replica.replay(5, 10**9) is None
    replica.extend_back([batch(6, 12), batch(13, 20)])
    assert seqs(replica.replay(5, 10**9) or []) == list(range(6, 21))
    replica.extend_back([batch(3, 9)])  # overlaps
    assert seqs(replica.replay(2, 10**9) or []) == list(range(3, 21))
    replica.extend_back([batch(1, 1)])  # does not reach up to it
    assert replica.replay(0, 10**9) is None


@pytest.mark.parametrize(("last", "size"), [(RING_EVENTS + 1, 1), (20, RING_BYTES // 20)])
def test_a_ring_is_not_extended_beyond_its_bounds(last: int, size: int) -> None:
    replica = loaded(last)
    replica.extend_back([batch(first, first, size) for first in range(1, last + 1)])
    assert replica.replay(0, 10**9) is None
    replica.offer(batch(last + 1, last + 1))
    assert seqs(replica.replay(last, 10**9) or []) == [last + 1]
