"""What a gateway announces of its people, and what it makes of what it is told."""

from collections.abc import Iterable

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from warren.contract.ids import inbox_room
from warren.contract.presence import GRACE, Announcement, Count, Presence, Present
from warren.contract.topology import SHARDS, shard
from warren_gateway.presence.announcer import MESSAGE_LIMIT, PresenceAnnouncer
from warren_gateway.presence.snapshot import PresenceSnapshot
from warren_presence.domain import room as room_module
from warren_presence.domain.room import Room

ROOM = "general"
NUMBER = shard(ROOM)


def begun() -> PresenceAnnouncer:
    """Return the announcer of a gateway that has announced itself."""
    announcer = PresenceAnnouncer("g1")
    announcer.announcements(0.0)
    return announcer


def said(messages: Iterable[Announcement], room: str = ROOM) -> list[tuple[str, str]]:
    """Return who is said to be how in a room."""
    return [(change.user, change.status) for message in messages for change in message.changes if change.room == room]


def now_said(announcer: PresenceAnnouncer, now: float = 1.0, room: str = ROOM) -> list[tuple[str, str]]:
    return said(announcer.announcements(now), room)


# Announcing


def test_a_gateway_begins_by_saying_to_every_shard_that_there_is_nobody() -> None:
    announcer = PresenceAnnouncer("g1")
    assert not announcer.idle
    messages = announcer.announcements(0.0)
    assert [(message.shard, message.seq, message.full) for message in messages] == [(n, 1, True) for n in range(SHARDS)]
    assert announcer.idle
    assert announcer.announcements(1.0) == []
    assert announcer.seqs == [1] * SHARDS


def test_a_connection_is_in_its_inbox_and_where_it_enters() -> None:
    announcer = begun()
    ann = announcer.open("ann", "Ann")
    announcer.enter(ann, ROOM)
    messages = announcer.announcements(1.0)
    assert said(messages) == [("ann", "online")]
    assert said(messages, inbox_room("ann")) == [("ann", "online")]
    assert all((message.seq, message.full) == (2, False) for message in messages)
    assert sum(announcer.seqs) == SHARDS + len(messages)


def test_several_devices_are_one_presence_and_the_last_that_goes_is_the_one_that_counts() -> None:
    announcer = begun()
    devices = [announcer.open("ann", "Ann") for _ in range(3)]
    for device in devices:
        announcer.enter(device, ROOM)
    assert now_said(announcer) == [("ann", "online")]
    for device in devices[:2]:
        announcer.close(device, 1.0)
        assert ("ann", "gone") not in now_said(announcer)
    announcer.close(devices[2], 1.0)
    messages = announcer.announcements(1.0)
    assert said(messages) == [("ann", "gone")]
    assert said(messages, inbox_room("ann")) == [("ann", "gone")]


def test_what_changes_nothing_for_others_is_not_announced() -> None:
    announcer = begun()
    first = announcer.open("ann", "Ann")
    announcer.enter(first, ROOM)
    announcer.announcements(1.0)
    second = announcer.open("ann", "Ann")
    announcer.enter(second, ROOM)
    announcer.report(second, "away")
    announcer.close(second, 2.0)
    assert announcer.idle
    third = announcer.open("ann", "Ann")  # the next poll, before the last one lets go
    announcer.enter(third, ROOM)
    announcer.close(first, 3.0)
    assert announcer.idle
    announcer.close(third, 4.0)
    assert now_said(announcer) == [("ann", "gone")]


def test_away_is_who_is_away_from_all_devices() -> None:
    announcer = begun()
    phone, pool = announcer.open("ann", "Ann"), announcer.open("ann", "Ann")
    announcer.enter(phone, ROOM)
    announcer.enter(pool, ROOM)
    announcer.report(phone, "away")
    assert now_said(announcer) == [("ann", "online")]
    announcer.report(pool, "away")
    messages = announcer.announcements(1.0)
    assert (said(messages), said(messages, inbox_room("ann"))) == ([("ann", "away")], [("ann", "away")])
    announcer.report(pool, "away")
    assert announcer.idle
    announcer.close(phone, 1.0)
    announcer.report(pool, "online")
    assert now_said(announcer) == [("ann", "online")]


def test_who_closes_the_only_device_they_are_at_is_away() -> None:
    announcer = begun()
    phone, pool = announcer.open("ann", "Ann"), announcer.open("ann", "Ann")
    announcer.enter(phone, ROOM)
    announcer.enter(pool, ROOM)
    announcer.report(pool, "away")
    assert now_said(announcer) == [("ann", "online")]
    announcer.close(phone, 1.0)
    assert now_said(announcer) == [("ann", "away")]
    announcer.exit(pool, ROOM, 2.0)
    messages = announcer.announcements(2.0)
    assert (said(messages), said(messages, inbox_room("ann"))) == ([("ann", "gone")], [])


def test_what_changes_several_times_is_announced_once_as_it_is_now() -> None:
    announcer = begun()
    ann = announcer.open("ann", "Ann")
    for _ in range(5):
        announcer.enter(ann, ROOM)
        announcer.exit(ann, ROOM, 0.5)
    announcer.enter(ann, ROOM)
    announcer.report(ann, "away")
    assert now_said(announcer) == [("ann", "away")]


def test_the_end_of_a_membership_is_said_when_the_last_connection_has_heard_of_it() -> None:
    announcer = begun()
    devices = [announcer.open("ann", "Ann") for _ in range(2)]
    for device in devices:
        announcer.enter(device, ROOM)
    announcer.exit(devices[0], ROOM, 1.0, ended=True)
    assert now_said(announcer) == [("ann", "online")]
    announcer.exit(devices[1], ROOM, 1.0, ended=True)
    assert now_said(announcer) == [("ann", "ended")]
    announcer.exit(devices[1], ROOM, 1.0)
    assert announcer.idle


def test_a_full_announcement_says_who_is_there_and_who_was_a_moment_ago_and_how_they_went() -> None:
    announcer = begun()
    people = {user: announcer.open(user, user.title()) for user in ("ann", "bob", "cid", "dan", "eve")}
    for presence in people.values():
        announcer.enter(presence, ROOM)
    announcer.exit(people["ann"], ROOM, 1.0)
    announcer.exit(people["eve"], ROOM, 2.0)
    announcer.exit(people["bob"], ROOM, 3.0, ended=True)
    announcer.exit(people["cid"], ROOM, 3.0)
    announcer.enter(people["cid"], ROOM)
    announcer.resync(NUMBER)
    (message,) = [message for message in announcer.announcements(1.5 + GRACE) if message.shard == NUMBER]
    assert message.full
    assert sorted(said([message])) == [("bob", "ended"), ("cid", "online"), ("dan", "online"), ("eve", "gone")]


def test_who_left_a_moment_before_their_membership_ended_is_not_said_to_be_back() -> None:
    announcer = begun()
    ann = announcer.open("ann", "Ann")
    announcer.enter(ann, ROOM)
    announcer.exit(ann, ROOM, 1.0)
    announcer.enter(ann, ROOM)
    announcer.exit(ann, ROOM, 2.0, ended=True)
    announcer.resync()
    assert now_said(announcer, 3.0) == [("ann", "ended")]


def test_one_shard_or_all_are_announced_again() -> None:
    announcer = begun()
    announcer.resync(5)
    assert [(message.shard, message.full) for message in announcer.announcements(1.0)] == [(5, True)]
    announcer.resync()
    assert [message.shard for message in announcer.announcements(1.0)] == list(range(SHARDS))


def test_many_changes_go_in_portions_and_a_full_announcement_in_one() -> None:
    announcer = begun()
    announcer.ask(ROOM)
    people = MESSAGE_LIMIT * 2 + 1
    for number in range(people):
        announcer.enter(announcer.open(f"u{number}", "U"), ROOM)
    messages = [message for message in announcer.announcements(1.0) if message.shard == NUMBER]
    assert [message.seq for message in messages] == list(range(2, len(messages) + 2))
    assert max(len(message.changes) for message in messages) == MESSAGE_LIMIT
    assert len(set(said(messages))) == people
    assert [message.ask for message in messages if message.ask] == [[ROOM]]
    announcer.resync(NUMBER)
    (full,) = announcer.announcements(2.0)
    assert len(said([full])) == people


def test_what_is_asked_and_who_is_sought_go_to_their_shards_once() -> None:
    announcer = begun()
    for _ in range(2):
        announcer.ask(ROOM)
        announcer.look_up_status("ann")
    messages = {message.shard: message for message in announcer.announcements(1.0)}
    assert messages[NUMBER].ask == [ROOM]
    assert messages[shard(inbox_room("ann"))].sought == ["ann"]
    assert announcer.announcements(2.0) == []


def test_nothing_is_kept_of_who_has_gone() -> None:
    announcer = begun()
    for number in range(100):
        presence = announcer.open(f"u{number}", "U")
        announcer.enter(presence, ROOM)
        announcer.close(presence, float(number))
    announcer.announcements(100.0 + GRACE)
    assert (announcer._present_by_key, announcer._recent) == ({}, {})
    assert announcer.idle


# Being told


def told(version: int, **what: object) -> Presence:
    return Presence.model_validate({"room": ROOM, "version": version, **what})


def one(user: str, status: str = "online") -> dict[str, str]:
    return {"user": user, "name": user.title(), "status": status}


def begun_roster(**what: object) -> PresenceSnapshot:
    snapshot = PresenceSnapshot(ROOM)
    assert not snapshot.synced
    assert snapshot.take("t", told(7, **what))
    assert snapshot.synced
    return snapshot


def test_a_diff_that_follows_is_taken() -> None:
    snapshot = begun_roster(state=[one("ann"), one("bob")])
    assert snapshot.take("t", told(8, diff=[one("ann", "away"), one("bob", "offline"), one("cid")]))
    assert snapshot.people == [Present(**one("ann", "away")), Present(**one("cid"))]
    assert snapshot.count == Count(online=1, away=1)
    assert Presence.model_validate_json(snapshot.whole.body) == told(8, state=[one("ann", "away"), one("cid")])


@pytest.mark.parametrize(("term", "version"), [("t", 9), ("u", 8), ("u", 1)])
def test_a_diff_that_does_not_follow_is_a_loss(term: str, version: int) -> None:
    snapshot = begun_roster(state=[one("ann")])
    assert not snapshot.take(term, told(version, diff=[one("bob")]))
    assert not snapshot.synced
    assert not snapshot.take("t", told(8, diff=[one("bob")]))
    assert snapshot.take(term, told(version, state=[one("bob")]))
    assert snapshot.synced
    assert snapshot.people == [Present(**one("bob"))]


@pytest.mark.parametrize("what", [{"diff": [one("bob")]}, {"state": []}, {"count": {"online": 1, "away": 0}}])
def test_what_is_known_already_is_no_news(what: dict[str, object]) -> None:
    snapshot = begun_roster(state=[one("ann")])
    for version in (6, 7):
        assert not snapshot.take("t", told(version, **what))
    assert snapshot.synced
    assert snapshot.people == [Present(**one("ann"))]


def test_another_term_begins_at_any_version() -> None:
    snapshot = begun_roster(state=[one("ann")])
    assert snapshot.take("u", told(1, state=[one("bob")]))
    assert snapshot.take("u", told(2, diff=[one("bob", "offline")]))
    assert snapshot.people == []


def test_a_count_names_nobody() -> None:
    snapshot = begun_roster(state=[one("ann")])
    assert snapshot.take("t", told(8, count={"online": 201, "away": 3}))
    assert (snapshot.people, snapshot.count) == (None, Count(online=201, away=3))
    assert Presence.model_validate_json(snapshot.whole.body) == told(8, count={"online": 201, "away": 3})
    assert snapshot.take("t", told(9, state=[one("ann")]))
    assert snapshot.people == [Present(**one("ann"))]


def test_the_whole_is_encoded_once_for_all_who_come() -> None:
    snapshot = begun_roster(state=[one("ann")])
    assert snapshot.whole is snapshot.whole
    before = snapshot.whole
    assert snapshot.take("t", told(8, diff=[one("bob")]))
    assert snapshot.whole is not before


# One room, told to many of whom each misses something else

GATEWAYS = ["g1", "g2", "g3"]
USERS = [f"u{number}" for number in range(9)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attend"), st.sampled_from(GATEWAYS), st.sampled_from(USERS)),
        st.tuples(st.just("away"), st.sampled_from(GATEWAYS), st.sampled_from(USERS)),
        st.tuples(st.just("leave"), st.sampled_from(GATEWAYS), st.sampled_from(USERS)),
        st.tuples(st.just("leave"), st.sampled_from(GATEWAYS), st.sampled_from(USERS)),
        st.tuples(st.just("linger"), st.just(""), st.sampled_from(USERS)),
        st.tuples(st.just("lapse"), st.just(""), st.sampled_from(USERS)),
        st.tuples(st.just("ask"), st.just(""), st.just("")),
        st.tuples(st.just("tell"), st.just(""), st.just("")),
        st.tuples(st.just("tell"), st.just(""), st.just("")),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_a_roster_that_misses_nothing_or_knows_it_is_exactly_what_the_room_has_told(
    steps: list[tuple[str, str, str]], random: object
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room_module, "LARGE", 5)
        patch.setattr(room_module, "SMALL", 4)
        _play(steps, random)


def _play(steps: list[tuple[str, str, str]], random: object) -> None:
    room, snapshots, now = Room(ROOM, 3), [PresenceSnapshot(ROOM) for _ in range(3)], 0.0
    for kind, gateway, user in steps:
        now += 1.0
        match kind:
            case "attend" | "away":
                room.connect_user(gateway, user, user, "online" if kind == "attend" else "away")
            case "leave":
                room.leave(gateway, user, now)
            case "linger":
                room.start_grace(user, user, now)
            case "lapse" if user in room.people and room.people[user].left_at is not None:
                room.expire(user, room.people[user].left_at or 0.0)
            case "ask":
                room.state_requested = True
            case "tell" if room.due_at() is not None and not room.over:
                for frame in room.next_frames(now):
                    for number, snapshot in enumerate(snapshots):
                        if number == 0 or random.random() < 0.7:  # type: ignore[attr-defined]
                            snapshot.take("t", frame)
                _compare(room, snapshots)


def _compare(room: Room, snapshots: list[PresenceSnapshot]) -> None:
    known = {user: person.published for user, person in room.people.items() if person.published != "offline"}
    count = Count(online=list(known.values()).count("online"), away=list(known.values()).count("away"))
    assert snapshots[0].synced
    for snapshot in snapshots:
        if snapshot.synced and snapshot._version == room.version:
            assert snapshot.count == count
            assert snapshot.people is None or {one.user: one.status for one in snapshot.people} == known
            assert snapshot.people is not None or len(known) >= room_module.SMALL
            assert snapshot.people is None or len(known) <= room_module.LARGE
