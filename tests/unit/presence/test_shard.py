"""One shard of presence at its edges: gaps, silences, takeovers, graces, and what is left when all have gone."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal

import pytest
from warren.contract.ids import inbox_room
from warren.contract.presence import GRACE, HEARTBEAT, LEASE, Announcement, Known, Presence, PresenceChange, UserStatus
from warren_presence.clock import JUMP, STEP, Clock
from warren_presence.domain.leases import DISCOVERY_WAIT, REMEMBERED, SLACK, Leases
from warren_presence.domain.room import COUNT_INTERVAL, INTERVAL, LARGE, SMALL
from warren_presence.domain.shard import (
    FRAMES_AT_ONCE,
    OVERDUE,
    Action,
    BroadcastFrames,
    BroadcastStatus,
    LookUpLastSeen,
    RecordLastSeen,
    RequestAnnouncements,
    Shard,
)

ROOM = "general"
ChangeStatus = Literal["online", "away", "gone", "ended"]


def change(user: str, status: ChangeStatus = "online", room: str = ROOM) -> PresenceChange:
    return PresenceChange(room=room, user=user, name=user.title(), status=status)


def said(
    gateway: str,
    seq: int,
    *changes: PresenceChange,
    full: bool = False,
    ask: Sequence[str] = (),
    known: Sequence[Known] = (),
    sought: Sequence[str] = (),
) -> Announcement:
    return Announcement(
        gateway=gateway,
        shard=0,
        seq=seq,
        full=full,
        changes=list(changes),
        ask=list(ask),
        known=list(known),
        sought=list(sought),
    )


def held(*changes: PresenceChange, gateways: Iterable[str] = ("g1",)) -> Shard:
    """Return a shard that is complete; the first of the gateways has announced these, and all of it is told."""
    shard = Shard("t1", gateways, 0.0)
    for gateway in gateways:
        shard.announce(said(gateway, 1, *changes, full=True), 0.0)
        changes = ()
    shard.tick(0.0)
    assert shard.complete
    return shard


def frames(actions: Iterable[Action]) -> list[Presence]:
    return [frame for action in actions if isinstance(action, BroadcastFrames) for frame in action.frames]


def statuses(frame: Presence) -> dict[str, str]:
    return {one.user: one.status for one in (frame.state if frame.diff is None else frame.diff) or ()}


def told(shard: Shard, now: float) -> list[dict[str, str]]:
    """Return what each frame that is due says."""
    return [statuses(frame) for frame in frames(shard.tick(now))]


def asked(shard: Shard, now: float) -> list[str]:
    return [action.gateway for action in shard.tick(now) if isinstance(action, RequestAnnouncements)]


# Who comes, goes and comes back


def test_the_first_frame_is_the_state_and_then_come_diffs_of_what_has_changed() -> None:
    shard = Shard("t1", [], 0.0)
    shard.announce(said("g1", 1, change("ann"), change("bob", "away"), full=True), 0.0)
    (state,) = frames(shard.tick(0.0))
    assert (state.version, statuses(state), state.diff) == (1, {"ann": "online", "bob": "away"}, None)
    shard.announce(said("g1", 2, change("cid"), change("bob")), 1.0)
    (diff,) = frames(shard.tick(1.0))
    assert (diff.version, statuses(diff), diff.state) == (2, {"bob": "online", "cid": "online"}, None)
    assert shard.tick(2.0) == []


def test_a_shard_is_idle_when_all_is_told_and_not_while_anything_has_yet_to_be_done() -> None:
    shard = held(change("ann"))
    told(shard, 1.0)
    assert shard.idle
    for message in (
        said("g1", 2, change("ann", "gone")), said("g1", 3, ask=[ROOM]), said("g1", 4, sought=["bob"]), said("g1", 6),
        said("g1", 7, full=True),
    ):  # fmt: skip
        shard.announce(message, 2.0)
        assert not shard.idle, message
        for tenths in range(20, 20 + 10 * int(GRACE + 2)):
            shard.tick(tenths / 10)
    shard.heartbeat("g1", 7, 20.0)
    assert shard.idle
    shard.heartbeat("g1", 8, 20.0)
    assert not shard.idle
    assert not Shard("t1", ["g1"], 0.0).idle


def test_what_changes_back_before_it_is_told_is_not_told() -> None:
    shard = held(change("ann"))
    shard.announce(said("g1", 2, change("ann", "away")), 0.1)
    shard.announce(said("g1", 3, change("ann", "online")), 0.2)
    assert shard.tick(1.0) == []


def test_somebody_goes_after_their_grace_and_not_before() -> None:
    shard = held(change("ann"), change("bob"))
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    assert told(shard, 1.0 + GRACE - 0.01) == []
    assert told(shard, 1.0 + GRACE) == [{"ann": "offline"}]


def test_who_comes_back_within_the_grace_on_any_gateway_is_never_gone() -> None:
    shard = held(change("ann"), gateways=["g1", "g2"])
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    shard.announce(said("g2", 2, change("ann")), 5.9)
    assert [told(shard, now) for now in (5.9, 6.0, 20.0)] == [[], [], []]


def test_a_grace_that_began_before_they_came_back_is_not_the_one_that_counts() -> None:
    shard = held(change("ann"))
    for seq, status, now in ((2, "gone", 1.0), (3, "online", 2.0), (4, "gone", 4.0)):
        shard.announce(said("g1", seq, change("ann", status)), now)  # type: ignore[arg-type]
    assert told(shard, 1.0 + GRACE) == []
    assert told(shard, 4.0 + GRACE) == [{"ann": "offline"}]


def test_a_grace_is_not_that_of_another_connection_that_ended_at_the_same_time() -> None:
    shard = held(change("ann"), gateways=["g1", "g2"])
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    shard.announce(said("g2", 2, change("ann")), 1.0)
    shard.announce(said("g1", 3, change("ann")), 1.0)
    shard.announce(said("g2", 3, change("ann", "gone")), 1.0)
    assert [told(shard, now) for now in (1.0, 1.0 + GRACE, 20.0)] == [[], [], []]


def test_who_comes_back_away_is_shown_away() -> None:
    shard = held(change("ann"), gateways=["g1", "g2"])
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    shard.announce(said("g2", 2, change("ann", "away")), 2.0)
    assert told(shard, 2.0) == [{"ann": "away"}]


def test_an_ended_membership_has_no_grace() -> None:
    shard = held(change("ann"), change("bob"))
    shard.announce(said("g1", 2, change("ann", "ended")), 1.0)
    assert told(shard, 1.0) == [{"ann": "offline"}]


def test_an_ended_membership_waits_for_the_other_gateway_to_say_so() -> None:
    shard = held(gateways=["g1", "g2"])
    for gateway in ("g1", "g2"):
        shard.announce(said(gateway, 2, change("ann")), 0.0)
    assert told(shard, 1.0) == [{"ann": "online"}]
    shard.announce(said("g1", 3, change("ann", "ended")), 2.0)
    assert told(shard, 2.0) == []
    shard.announce(said("g2", 3, change("ann", "ended")), 2.1)
    assert told(shard, 2.5) == [{"ann": "offline"}]


def test_online_anywhere_is_online_and_away_is_away_everywhere() -> None:
    shard = held(gateways=["g1", "g2"])
    shard.announce(said("g1", 2, change("ann", "away")), 1.0)
    assert told(shard, 1.0) == [{"ann": "away"}]
    shard.announce(said("g2", 2, change("ann", "online")), 2.0)
    assert told(shard, 2.0) == [{"ann": "online"}]
    shard.announce(said("g2", 3, change("ann", "gone")), 3.0)
    assert told(shard, 3.0) == [{"ann": "away"}]


def test_what_was_never_there_cannot_go() -> None:
    shard = held()
    shard.announce(said("g1", 2, change("ann", "gone"), change("bob", "ended")), 1.0)
    assert (shard.tick(1.0), shard.rooms) == ([], 0)


# Announcements that get lost


def test_after_a_gap_everything_is_asked_for_and_nothing_is_taken_till_then() -> None:
    shard = held(change("ann"))
    shard.announce(said("g1", 3, change("ann", "gone"), change("cid")), 1.0)
    assert shard.tick(1.0) == [RequestAnnouncements("g1")]
    shard.announce(said("g1", 4, change("dan")), 1.1)
    assert told(shard, 1.5) == []
    shard.announce(said("g1", 5, change("bob"), full=True), 1.6)
    assert told(shard, 1.6) == [{"bob": "online"}]
    assert told(shard, 1.6 + GRACE) == [{"ann": "offline"}]


def test_it_is_asked_for_until_it_comes_less_and_less_often() -> None:
    shard = held(change("ann"))
    shard.announce(said("g1", 3), 1.0)
    at = [now / 20 for now in range(20, 641) if asked(shard, now / 20)]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(at)] == [2, 4, 8, 8, 8]
    shard.announce(said("g1", 4, change("ann"), full=True), 33.0)
    assert asked(shard, 50.0) == []


def test_what_comes_late_is_taken_all_the_same() -> None:
    shard = held(change("ann"))
    shard.heartbeat("g1", 2, 3.0)
    assert asked(shard, 3.0 + OVERDUE) == ["g1"]
    shard.announce(said("g1", 2, change("bob")), 6.0)
    assert told(shard, 6.0) == [{"bob": "online"}]


def test_whoever_has_missed_the_last_frame_of_a_quiet_room_is_told() -> None:
    shard = held(change("ann"))
    last = Known(room=ROOM, term="t1", version=1)
    shard.announce(said("g1", 2, known=[last]), 40.0)
    assert shard.tick(40.0) == []
    for seq, known in ((3, last.model_copy(update={"version": 0})), (4, last.model_copy(update={"term": "t0"}))):
        shard.announce(said("g1", seq, known=[known]), 10.0 * seq + 20)
        (action,) = shard.tick(10.0 * seq + 20)
        assert isinstance(action, BroadcastFrames)
        assert [(frame.version, statuses(frame)) for frame in action.frames] == [(1, {"ann": "online"})]


def test_an_old_full_announcement_or_a_repeated_one_changes_nothing() -> None:
    shard = held(change("ann"))
    shard.announce(said("g1", 2, change("bob")), 1.0)
    assert told(shard, 1.0) == [{"bob": "online"}]
    shard.announce(said("g1", 1, full=True), 2.0)
    shard.announce(said("g1", 2, change("bob", "gone")), 2.0)
    assert shard.tick(2.0) == []
    assert shard.tick(20.0) == []


def test_a_full_announcement_says_who_is_not_there_any_more() -> None:
    shard = held(change("ann"), change("bob"))
    shard.announce(said("g1", 7, change("bob"), full=True), 1.0)
    assert told(shard, 1.0 + GRACE) == [{"ann": "offline"}]


def test_a_full_announcement_says_whose_membership_has_ended() -> None:
    shard = held(change("ann"), change("bob"))
    shard.announce(said("g1", 2, change("bob"), change("ann", "ended"), full=True), 1.0)
    assert told(shard, 1.0) == [{"ann": "offline"}]


def test_a_loss_with_no_successor_is_found_by_the_heartbeat() -> None:
    shard = held(change("ann"))
    shard.heartbeat("g1", 2, 3.0)
    assert asked(shard, 3.0 + OVERDUE - 0.01) == []
    assert asked(shard, 3.0 + OVERDUE) == ["g1"]


def test_an_announcement_may_come_a_little_later_than_the_heartbeat() -> None:
    shard = held(change("ann"))
    shard.heartbeat("g1", 2, 3.0)
    shard.announce(said("g1", 2, change("bob")), 3.5)
    assert asked(shard, 10.0) == []


def test_a_gateway_known_by_its_heartbeat_alone_is_asked_and_one_that_has_said_nothing_is_not() -> None:
    shard = held()
    shard.heartbeat("g2", 4, 1.0)
    shard.heartbeat("g3", 0, 1.0)
    assert asked(shard, 1.0 + OVERDUE) == ["g2"]


def test_a_heartbeat_that_is_behind_asks_for_nothing() -> None:
    shard = held()
    for seq in range(2, 9):
        shard.announce(said("g1", seq), 1.0)
    shard.heartbeat("g1", 5, 2.0)
    assert asked(shard, 9.0) == []


# Taking a shard over


def test_nothing_is_told_before_all_expected_gateways_have_said_all() -> None:
    shard = Shard("t1", ["g1", "g2"], 0.0)
    shard.announce(said("g1", 5, change("ann"), full=True, ask=["quiet"]), 0.1)
    shard.announce(said("g2", 8, change("bob")), 0.2)
    assert (frames(shard.tick(0.2)), shard.complete) == ([], False)
    assert frames(shard.tick(30.0)) == []
    shard.announce(said("g2", 9, change("bob"), full=True), 30.0)
    assert sorted(map(str, told(shard, 30.0))) == ["{'ann': 'online', 'bob': 'online'}", "{}"]


def test_nor_before_its_time() -> None:
    shard = Shard("t1", [], 1.0)
    shard.announce(said("g1", 5, change("ann"), full=True), 0.1)
    assert told(shard, 0.9) == []
    assert told(shard, 1.0) == [{"ann": "online"}]


def test_an_expected_gateway_that_is_silent_is_waited_for_no_longer_than_its_lease() -> None:
    shard = Shard("t1", ["g1", "g2"], 0.0)
    shard.announce(said("g1", 5, change("ann"), full=True), 0.1)
    assert told(shard, LEASE) == []
    shard.end("g2", LEASE, 0.0)
    assert told(shard, LEASE) == [{"ann": "online"}]


def test_a_gateway_that_stops_meanwhile_may_have_had_people_whose_grace_goes_on() -> None:
    shard = Shard("t1", ["g1", "g2"], 0.0)
    shard.announce(said("g1", 5, change("ann"), full=True), 0.1)
    shard.end("g2", 0.2)
    assert told(shard, 0.2 + GRACE - 0.01) == []
    shard.announce(said("g1", 6, change("bob")), 2.0)  # who was on the other
    assert told(shard, 0.2 + GRACE) == [{"ann": "online", "bob": "online"}]


def test_who_went_a_moment_before_the_takeover_is_shown_for_another_grace() -> None:
    shard = Shard("t1", ["g1", "g2"], 0.0)
    shard.announce(said("g1", 5, change("ann", "gone"), change("bob", "gone"), change("cid"), full=True), 1.0)
    shard.announce(said("g2", 5, full=True), 1.0)
    assert told(shard, 1.0) == [{"ann": "online", "bob": "online", "cid": "online"}]
    shard.announce(said("g2", 6, change("bob")), 3.0)
    assert told(shard, 1.0 + GRACE) == [{"ann": "offline"}]
    assert told(shard, 20.0) == []


def test_who_went_a_moment_ago_and_is_on_another_gateway_is_there() -> None:
    shard = Shard("t1", [], 0.0)
    shard.announce(said("g2", 5, change("ann", "away"), full=True), 1.0)
    shard.announce(said("g1", 5, change("ann", "gone"), full=True), 1.0)
    assert told(shard, 1.0) == [{"ann": "away"}]
    assert told(shard, 30.0) == []


def test_a_gone_one_that_is_said_again_does_not_begin_another_grace() -> None:
    shard = held(change("ann"))
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    shard.announce(said("g1", 3, change("ann", "gone"), full=True), 4.0)
    assert told(shard, 1.0 + GRACE) == [{"ann": "offline"}]


# Gateways that end


def test_who_was_on_a_gateway_that_stops_has_a_grace() -> None:
    shard = held(change("ann"), change("bob"), gateways=["g1", "g2"])
    shard.end("g1", 1.0)
    shard.announce(said("g2", 2, change("bob")), 4.0)
    assert told(shard, 1.0 + GRACE - 0.01) == []
    assert told(shard, 1.0 + GRACE) == [{"ann": "offline"}]


def test_who_was_on_a_gateway_that_was_silent_had_their_grace_since_it_was_heard() -> None:
    shard = held(change("ann"), change("bob"), gateways=["g1", "g2"])
    shard.announce(said("g2", 2, change("bob")), 4.0)
    shard.end("g1", LEASE, 0.0)
    assert told(shard, LEASE) == [{"ann": "offline"}]


def test_who_left_elsewhere_later_than_their_gateway_fell_silent_has_a_grace_from_then() -> None:
    shard = held(change("ann"), change(inbox := "ann", room=inbox_room(inbox)), gateways=["g1", "g2"])
    for status, seq, now in (("online", 2, 1.0), ("gone", 3, 13.0)):
        places = (change("ann", status), change("ann", status, inbox_room("ann")))  # type: ignore[arg-type]
        shard.announce(said("g2", seq, *places), now)
    shard.end("g1", LEASE, 0.0)
    assert shard.tick(LEASE) == []
    assert shard.tick(13.0 + GRACE - 0.01) == []
    record, next_frames = shard.tick(13.0 + GRACE)
    assert record == RecordLastSeen("ann", GRACE)
    assert isinstance(next_frames, BroadcastFrames)


def test_a_gateway_that_comes_back_after_its_lease_is_asked_for_all() -> None:
    shard = held(change("ann"))
    shard.end("g1", LEASE, 0.0)
    assert told(shard, LEASE) == [{"ann": "offline"}]
    shard.heartbeat("g1", 1, LEASE + 5)
    assert asked(shard, LEASE + 5 + OVERDUE) == ["g1"]
    shard.announce(said("g1", 2, change("ann"), full=True), LEASE + 7)
    assert told(shard, LEASE + 7) == [{"ann": "online"}]


# Last seen, and who is sought


def test_who_goes_from_their_inbox_place_is_recorded_once_with_the_age() -> None:
    shard = held(change("ann", room=inbox_room("ann")), change("bob", room=inbox_room("bob")))
    assert sorted(shard.connected) == ["ann", "bob"]
    shard.announce(said("g1", 2, change("ann", "gone", inbox_room("ann"))), 1.0)
    assert shard.tick(1.0 + GRACE - 0.5) == []
    assert shard.tick(1.0 + GRACE + 0.5) == [RecordLastSeen("ann", GRACE + 0.5)]
    shard.end("g1", 40.0, 22.0)
    assert shard.tick(41.0) == [RecordLastSeen("bob", 18.0)]
    assert shard.tick(60.0) == []
    assert shard.connected == []


def test_leaving_a_room_is_not_being_gone() -> None:
    shard = held(change("ann"), change("ann", room=inbox_room("ann")))
    shard.announce(said("g1", 2, change("ann", "gone")), 1.0)
    assert not [action for action in shard.tick(1.0 + GRACE) if isinstance(action, RecordLastSeen)]
    assert shard.connected == ["ann"]


def test_inboxes_are_never_told_whoever_asks() -> None:
    shard = held(change("ann", room=inbox_room("ann")))
    shard.announce(said("g1", 2, ask=[inbox_room("ann"), inbox_room("bob")]), 1.0)
    assert shard.tick(1.0) == []
    assert (shard.rooms, shard.connected) == (0, ["ann"])
    assert len(shard._rooms) == 1


def test_who_is_sought_is_shown_or_looked_up() -> None:
    shard = held(change("ann", room=inbox_room("ann")), change("bob", "away", inbox_room("bob")))
    shard.announce(said("g1", 2, sought=["dan", "cid", "bob", "ann"]), 1.0)
    assert shard.tick(1.0) == [
        BroadcastStatus(UserStatus(user="ann", status="online")),
        BroadcastStatus(UserStatus(user="bob", status="away")),
        LookUpLastSeen(["cid", "dan"]),
    ]
    assert shard.tick(2.0) == []


def test_nobody_is_looked_up_before_it_is_known_who_is_there() -> None:
    shard = Shard("t1", ["g1", "g2"], 0.0)
    shard.announce(said("g1", 1, full=True, sought=["ann"]), 0.0)
    assert shard.tick(0.0) == []
    shard.announce(said("g2", 1, change("ann", room=inbox_room("ann")), full=True), 0.1)
    assert shard.tick(0.1) == [BroadcastStatus(UserStatus(user="ann", status="online"))]


def test_who_is_in_their_grace_is_still_sighted() -> None:
    shard = held(change("ann", room=inbox_room("ann")))
    shard.announce(said("g1", 2, change("ann", "gone", inbox_room("ann")), sought=["ann"]), 1.0)
    assert shard.tick(1.0) == [BroadcastStatus(UserStatus(user="ann", status="online"))]


# What is left, and what it costs


def test_when_all_have_gone_nothing_is_left() -> None:
    shard = held(*(change(f"u{n}", room=f"r{n % 7}") for n in range(50)), change("u1", room=inbox_room("u1")))
    assert shard.rooms == 7
    shard.announce(said("g1", 2, ask=["quiet"]), 1.0)
    shard.end("g1", 2.0)
    for now in range(2, 10):
        shard.tick(float(now))
    assert (shard.rooms, shard.connected) == (0, [])
    assert [
        len(each) for each in (shard._rooms, shard._sources, shard._due, shard._graces, shard._status_requests)
    ] == [0] * 5


def test_a_room_s_second_life_goes_on_above_the_first_and_stands_by_itself() -> None:
    shard = held(change("ann"), change("bob", room="other"))
    for seq in range(2, 12):
        shard.announce(said("g1", seq, change("ann", "online" if seq % 2 else "away")), float(seq))
        shard.tick(float(seq))
    shard.announce(said("g1", 12, change("ann", "ended")), 12.0)
    (gone,) = frames(shard.tick(12.0))
    shard.tick(12.0 + INTERVAL)
    assert shard.rooms == 1
    shard.announce(said("g1", 13, change("ann"), change("cid", room="third")), 13.0)
    for frame in frames(shard.tick(13.0)):
        assert frame.state is not None
        assert frame.version > gone.version


def test_a_room_that_dies_and_comes_back_at_once_keeps_to_the_pace() -> None:
    shard = held()
    at = []
    for tick in range(200):
        now = 1.0 + tick * 0.05
        shard.announce(said("g1", tick + 2, change("ann", "ended" if tick % 2 else "online"), ask=["quiet"]), now)
        at += [now for action in shard.tick(now) if isinstance(action, BroadcastFrames) and action.room == ROOM]
    assert all(later - earlier >= INTERVAL - 1e-9 for earlier, later in itertools.pairwise(at))
    assert len(at) >= 30


def test_who_asks_gets_the_state_and_who_follows_does_not_notice() -> None:
    shard = held(change("ann"))
    shard.announce(said("g2", 1, full=True, ask=[ROOM, "quiet"]), 1.0)
    state, empty = sorted(frames(shard.tick(1.0)), key=lambda frame: frame.room)
    assert (state.version, state.diff, statuses(state)) == (1, None, {"ann": "online"})
    assert (empty.room, empty.state) == ("quiet", [])
    shard.announce(said("g2", 2, change("bob"), ask=[ROOM]), 2.0)
    diff, state = frames(shard.tick(2.0))
    assert (diff.version, statuses(diff)) == (2, {"bob": "online"})
    assert (state.version, statuses(state)) == (2, {"ann": "online", "bob": "online"})


def test_rooms_beyond_what_one_tick_tells_follow_at_the_next() -> None:
    shard = Shard("t1", [], 0.0)
    shard.announce(said("g1", 1, *(change("ann", room=f"r{n}") for n in range(FRAMES_AT_ONCE + 5)), full=True), 0.0)
    first = [action.room for action in shard.tick(0.0) if isinstance(action, BroadcastFrames)]
    second = [action.room for action in shard.tick(0.05) if isinstance(action, BroadcastFrames)]
    assert (len(first), len(second)) == (FRAMES_AT_ONCE, 5)
    assert not set(first) & set(second)
    assert shard.tick(0.1) == []


@pytest.mark.parametrize("people", [50, 100, 200])
def test_what_is_told_grows_with_changes_not_with_changes_times_people(people: int) -> None:
    shard = held()
    entries = 0
    for n in range(people):
        shard.announce(said("g1", n + 2, change(f"u{n}")), 1.0 + n * 0.1)
        entries += sum(len(statuses(frame)) for frame in frames(shard.tick(1.0 + n * 0.1)))
    entries += sum(len(statuses(frame)) for frame in frames(shard.tick(people * 1.0)))
    assert entries == people


def test_large_rooms_are_counted_and_become_small_again_only_well_below() -> None:
    shard = held(*(change(f"u{n}") for n in range(LARGE)))
    now, seq = 1.0, itertools.count(2)

    def after(status: ChangeStatus, first: int, last: int) -> Presence:
        nonlocal now
        now += COUNT_INTERVAL
        shard.announce(said("g1", next(seq), *(change(f"u{n}", status) for n in range(first, last))), now)
        (frame,) = frames(shard.tick(now))
        return frame

    frame = after("online", LARGE, LARGE + 1)
    assert frame.count is not None
    assert (frame.count.online, frame.count.away) == (LARGE + 1, 0)
    frame = after("away", 0, 10)
    assert frame.count is not None
    assert (frame.count.online, frame.count.away) == (LARGE - 9, 10)
    frame = after("ended", SMALL, LARGE + 1)
    assert frame.count is not None
    assert frame.count.online + frame.count.away == SMALL
    frame = after("ended", SMALL - 1, SMALL)
    assert frame.state is not None
    assert len(frame.state) == SMALL - 1
    frame = after("online", SMALL, LARGE)
    assert frame.diff is not None
    assert len(frame.diff) == LARGE - SMALL


def test_counts_come_once_a_second_whoever_asks() -> None:
    shard = held(*(change(f"u{n}") for n in range(LARGE + 1)))
    at = []
    for tick in range(100):
        now = 1.0 + tick * 0.05
        shard.announce(said("g1", tick + 2, change(f"u{tick}", "away"), ask=[ROOM]), now)
        at += [now for frame in frames(shard.tick(now)) if frame.count]
    assert len(at) == 5
    assert all(later - earlier >= COUNT_INTERVAL - 1e-9 for earlier, later in itertools.pairwise(at))


# Leases, and the clock they go by


def test_a_lease_lasts_as_long_as_it_is_renewed() -> None:
    leases = Leases(0.0)
    for now in (0.0, 5.0, 10.0):
        leases.renew("g1", now)
    assert (sorted(leases.alive), leases.heard_at("g1"), leases.heard_at("g2")) == (["g1"], 10.0, None)
    assert leases.expired(10.0 + LEASE - 0.01) == []
    assert leases.expired(10.0 + LEASE) == ["g1"]
    leases.end("g1")
    assert (leases.alive, leases.expired(90.0)) == (frozenset(), [])


def test_two_heartbeats_may_get_lost() -> None:
    assert LEASE > 2 * HEARTBEAT + SLACK


def test_what_was_not_listened_for_is_not_held_against_anybody() -> None:
    leases = Leases(0.0)
    leases.renew("g1", 0.0)
    leases.listen(100.0)
    assert leases.expired(100.0 + LEASE - 0.01) == []
    assert leases.alive == {"g1"}
    assert not leases.complete(100.0 + HEARTBEAT)
    assert leases.complete(100.0 + HEARTBEAT + SLACK)


def test_who_has_listened_for_long_enough_may_speak_at_once() -> None:
    leases = Leases(0.0)
    assert leases.not_before(1.0) == 1.0 + DISCOVERY_WAIT
    assert leases.not_before(HEARTBEAT + SLACK) == HEARTBEAT + SLACK


def test_who_takes_over_after_a_gateway_has_stopped_gives_its_people_their_grace() -> None:
    leases = Leases(0.0)
    leases.renew("g1", 50.0)
    leases.stop("g1", 51.0)
    assert leases.alive == frozenset()
    assert leases.not_before(52.0) == 51.0 + GRACE
    assert leases.not_before(60.0) == 60.0


def test_a_gateway_that_has_stopped_is_known_to_have_for_a_while() -> None:
    leases = Leases(0.0)
    assert not leases.stopped("g1")
    leases.stop("g1", 1.0)
    assert leases.stopped("g1")
    for number in range(1_000):
        leases.stop(f"h{number}", 1.0 + REMEMBERED + number)
    assert not leases.stopped("g1")
    assert sum(leases.stopped(f"h{number}") for number in range(1_000)) <= REMEMBERED + 1


def test_the_clock_stands_still_while_the_process_is_halted() -> None:
    clock = Clock(100.0)
    assert clock.now == 0.0
    clock.advance(100.0 + JUMP)
    assert clock.now == JUMP
    clock.advance(500.0)
    assert clock.now == JUMP + STEP
    clock.advance(500.5)
    assert clock.now == JUMP + STEP + 0.5


def test_nobody_is_gone_because_the_replica_was_halted() -> None:
    clock, leases = Clock(0.0), Leases(0.0)
    leases.renew("g1", clock.now)
    clock.advance(0.5)
    clock.advance(60.0)
    assert leases.expired(clock.now) == []


# What replicas tell each other


def test_gateways_that_another_replica_knows_of_are_waited_for() -> None:
    shard = Shard("t1", [], DISCOVERY_WAIT)
    shard.announce(said("g1", 1, change("ann"), full=True), 0.1)
    shard.expect("g2")
    assert told(shard, DISCOVERY_WAIT + 5.0) == []
    shard.announce(said("g2", 1, change("bob"), full=True), DISCOVERY_WAIT + 6.0)
    assert told(shard, DISCOVERY_WAIT + 6.0) == [{"ann": "online", "bob": "online"}]
    shard.expect("g3")
    shard.announce(said("g2", 2, change("bob", "away")), DISCOVERY_WAIT + 7.0)
    assert told(shard, DISCOVERY_WAIT + 7.0) == [{"bob": "away"}]


def test_what_another_replica_has_heard_counts_from_when_it_did_and_only_if_it_is_news() -> None:
    leases = Leases(100.0)
    leases.renew("g1", 100.0)
    leases.stop("g2", 100.0)
    assert [leases.add_heard_elsewhere(gateway, 90.0) for gateway in ("g1", "g2", "g3")] == [False, False, True]
    assert leases.seconds_silent(101.0) == {"g1": 1.0, "g3": 11.0}
    assert leases.expired(90.0 + LEASE) == ["g3"]
