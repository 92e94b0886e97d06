"""Which messages runs go out as: all events once to gateways, each room in order, and a message a room to its bots."""

from collections import defaultdict
from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from warren.contract.bundles import BUNDLE, BUNDLE_BYTES, BUNDLE_RUNS, read_bundle
from warren.contract.events import Events, MemberLeft, MemberMuted, Message
from warren.contract.ids import inbox_room
from warren.contract.topology import (
    BUCKETS,
    COMMON_BUCKET,
    bot_key,
    bots_only_key,
    bucket,
    bundle_key,
    event_key,
    public_key,
)
from warren_persistence.domain.plan import Run, runs
from warren_persistence.domain.room import LogEvent
from warren_persistence.publishing.event_messages import EXACT_BUCKETS, EventMessage, EventMessages

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
PRIVATE, PUBLIC, INBOX = ["den", "nest"], ["general", "random", "a"], [inbox_room("ann")]
COPIES = {**{room: (public_key(room), bot_key("echo")) for room in PUBLIC}, "nest": (bot_key("echo"), bot_key("spy"))}
ENTRIES = st.lists(
    st.tuples(st.sampled_from(PRIVATE + PUBLIC + INBOX), st.integers(1, 30), st.sampled_from([1, 300, 3_000])),
    unique_by=lambda entry: entry[:2],
    max_size=60,
)


def message(seq: int, length: int = 1) -> Message:
    return Message(seq=seq, id=f"e{seq}", sender="ann", name="Ann", key=f"k{seq}", at=AT, number=seq, text="x" * length)


def run(room: str, *events: LogEvent) -> Run:
    """Return a run, as it comes out of a plan."""
    copies = {(room, event.seq): COPIES.get(room, ()) for event in events}
    (found,) = runs([(room, event, event.seq) for event in events], 32, 10**6, copies)
    return found


def planned(entries: list[tuple[str, int, int]]) -> list[Run]:
    copies = {(room, seq): COPIES.get(room, ()) for room, seq, _ in entries}
    return runs([(room, message(seq, length), seq) for room, seq, length in entries], 4, 20_000, copies)


def to_gateways(messages: list[EventMessage]) -> dict[str, list[int]]:
    """Return the seqs that come to a gateway which follows all rooms, by room, in order."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for each in messages:
        if each.kind == BUNDLE:
            for one in read_bundle(each.body, {one.room for one in each.runs})[1]:
                assert {bundle_key(bucket(one.room)), bundle_key(COMMON_BUCKET)} & set(each.keys)
                found[one.room] += [event.seq for event in Events.model_validate_json(one.body).events]
        elif not each.for_bots:
            ((room, events),) = [(one.room, one.events) for one in each.runs]
            assert each.keys[0] == event_key(room)
            found[room] += [event.seq for event in events]
    return found


def to_bots(messages: list[EventMessage], key: str) -> list[tuple[str, int]]:
    """Return the places of the events that come to whoever is bound to a key."""
    frames = [Events.model_validate_json(each.body) for each in messages if key in each.keys]
    return [(frame.room, event.seq) for frame in frames for event in frame.events]


@settings(max_examples=200, deadline=None)
@given(ENTRIES, st.booleans())
def test_each_event_goes_once_to_gateways_and_once_to_each_bot_and_a_rooms_in_order(
    entries: list[tuple[str, int, int]], bundled: bool
) -> None:
    messages = EventMessages("e", frozenset({"archive"}), bundled=bundled).of(planned(entries))
    wanted: defaultdict[str, list[int]] = defaultdict(list)
    for room, seq, _ in sorted(entries):
        wanted[room].append(seq)
    assert to_gateways(messages) == wanted
    for key in ({key for copies in COPIES.values() for key in copies}) | {bot_key("archive")}:
        heard = [place for place in to_bots(messages, key) if place[0] not in INBOX]
        assert len(set(heard)) == len(heard)
        for room, seqs in wanted.items():
            may = key in COPIES.get(room, ()) or (key == bot_key("archive") and room not in INBOX)
            assert [seq for where, seq in heard if where == room] == (seqs if may else [])


@settings(max_examples=100, deadline=None)
@given(ENTRIES)
def test_a_message_is_bounded_and_named_by_its_room(entries: list[tuple[str, int, int]]) -> None:
    for each in EventMessages("e", bundled=True).of(planned(entries)):
        assert len(each.body) <= BUNDLE_BYTES * 2
        assert len(each.runs) <= BUNDLE_RUNS
        if each.kind is None:
            assert each.keys[0].rpartition(".")[2] == each.runs[0].room
        else:
            assert all(int(key.split(".")[1]) < BUCKETS for key in each.keys)


def test_without_bundles_it_is_a_message_a_room() -> None:
    messages = EventMessages("e").of([run("den", message(1)), run("general", message(4), message(5))])
    assert [(each.kind, each.for_bots, each.keys) for each in messages] == [
        (None, False, (event_key("den"),)),
        (None, False, (event_key("general"), *COPIES["general"])),
    ]
    assert {name: value for name, value in messages[1].headers.items() if name != "stored"} == {
        "first": 4,
        "last": 5,
        "number": 5,
        "epoch": "e",
    }


def test_a_lone_run_is_one_message_to_gateways_and_bots() -> None:
    (only,) = EventMessages("e", bundled=True).of([run("general", message(4))])
    assert (only.kind, only.for_bots, only.keys) == (None, False, (event_key("general"), *COPIES["general"]))


def test_runs_of_several_rooms_are_a_bundle_and_a_message_to_the_bots_of_each() -> None:
    bundle, nest, general = EventMessages("e", bundled=True).of(
        [run("den", message(1)), run("nest", message(2)), run("general", message(3))]
    )
    assert bundle.keys == tuple(bundle_key(bucket(room)) for room in ("den", "nest", "general"))
    assert (nest.for_bots, nest.keys) == (True, (bots_only_key("nest"), *COPIES["nest"]))
    assert (general.for_bots, general.keys) == (True, COPIES["general"])
    assert general.headers["first"] == 3


def test_what_nobody_was_bound_to_is_not_published_for_a_while() -> None:
    messages = EventMessages("e", bundled=True)
    both = [run("nest", message(2)), run("general", message(3))]
    messages.unbound.add(messages.of(both)[2].keys)
    assert [each.kind for each in messages.of(both)] == [BUNDLE, None]  # to the bots of the other one
    messages.unbound.add([bot_key("spy")])
    messages.unbound.add([public_key("general")])
    assert [each.kind for each in messages.of(both)] == [BUNDLE]


def test_many_buckets_have_one_key() -> None:
    rooms = [f"room-{number}" for number in range(EXACT_BUCKETS * 2)]
    few, many = ([run(room, message(1)) for room in rooms[:count]] for count in (EXACT_BUCKETS, EXACT_BUCKETS * 2))
    (bundle,) = EventMessages("e", bundled=True).of(few)
    assert set(bundle.keys) == {bundle_key(bucket(one.room)) for one in few}
    (bundle,) = EventMessages("e", bundled=True).of(many)
    assert bundle.keys == (bundle_key(COMMON_BUCKET),)


def test_what_is_large_goes_by_itself() -> None:
    small, large = run("den", message(1)), run("nest", *(message(seq, 4_000) for seq in (1, 2, 3)))
    messages = EventMessages("e", bundled=True).of([small, large, run("general", message(1))])
    assert [(each.kind, [one.room for one in each.runs]) for each in messages if not each.for_bots] == [
        (None, ["nest"]),
        (BUNDLE, ["den", "general"]),
    ]


@pytest.mark.parametrize("bundled", [False, True])
def test_who_may_do_less_stands_beside_the_events(bundled: bool) -> None:
    said = {"id": "i", "sender": "ann", "name": "Ann", "key": "k", "at": AT}
    events: list[LogEvent] = [MemberMuted(seq=4, user="bob", **said), MemberLeft(seq=5, user="eve", **said)]
    first = EventMessages("e", bundled=bundled).of([run("den", *events), run("general", message(1))])[0]
    if bundled:
        (found,) = read_bundle(first.body, {"den"})[1]
        assert (found.ends, found.standings) == (((5, "eve", "member.left"),), ((4, "bob", "member.muted"),))
    else:
        assert first.headers["ends"] == '[[5,"eve","member.left"]]'
        assert first.headers["standings"] == '[[4,"bob","member.muted"]]'
