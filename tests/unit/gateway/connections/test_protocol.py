"""The sans-I/O session under arbitrary input: it never raises, and its bounds hold whatever comes in what order."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from harness.recorded_protocol import (
    Action,
    End,
    RecordedProtocol,
    Reply,
    Report,
    ShowTyping,
    Submit,
    Subscribe,
    Unsubscribe,
    Verify,
)
from hypothesis import HealthCheck, example, given, settings
from warren.contract import frames as f
from warren.contract.codes import Close, Code
from warren.contract.commands import Accepted, Refused
from warren.rates import Rate
from warren_gateway.auth.tokens import User
from warren_gateway.connections.commands import CommandFrame
from warren_gateway.connections.limits import ConnectionLimits, PersonLimits
from warren_gateway.connections.protocol import EXPIRES_EARLY, HELLO_WITHIN, SILENT_AFTER

LIMITS = ConnectionLimits(
    frames=Rate(50, 100),
    messages=Rate(10, 20),
    joins=Rate(10, 20),
    typing=Rate(1, 5),
    statuses=Rate(1, 5),
    refusals=Rate(1, 30),
    unanswered=3,
    rooms=2,
)
REASON_BYTES = 123
"""What RFC 6455 leaves for the reason in a close frame."""
EXPIRES = 1_000.0
property_test = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def everybody() -> PersonLimits:
    """Return limits that nobody has come near to yet."""
    return PersonLimits(
        messages=Rate(20, 40),
        changes=Rate(5, 10),
        reads=Rate(20, 40),
        joins=Rate(50, 100),
        typing=Rate(1, 10),
        connections=2,
    )


def opened(now: float = 0.0, people: PersonLimits | None = None) -> RecordedProtocol:
    """Return a session before its hello."""
    return RecordedProtocol(LIMITS, people or everybody(), now)


def greeted(now: float = 0.0, people: PersonLimits | None = None) -> RecordedProtocol:
    """Return a session after its hello."""
    session = opened(now, people)
    (action,) = session.receive('{"type":"hello","token":"t"}', now)
    assert action == Verify("t")
    session.verified(User("ann", "Ann", EXPIRES), 0.0)
    return session


def codes(actions: list[Action]) -> list[str]:
    """Return the codes of the error frames among the actions."""
    return [action.frame.code for action in actions if isinstance(action, Reply) and isinstance(action.frame, f.Error)]


def assert_sendable(actions: list[Action]) -> None:
    """A transport can carry out each action, and End comes last."""
    for index, action in enumerate(actions):
        if isinstance(action, Reply):
            json.loads(action.frame.model_dump_json())
        if isinstance(action, End):
            assert index == len(actions) - 1
            assert len(action.reason.encode()) <= REASON_BYTES, action.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["type", "room", "key", "text", "since", "epoch", "token", "reply_to", "status", "extra"])
TYPES = st.sampled_from(["hello", "auth", "join", "send", "leave", "typing", "status", "ping", "pong", "zork"])
NEARLY = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}), TYPES, st.dictionaries(NAMES, JSON, max_size=5)
)
"""What looks like a frame and mostly is none."""


@property_test
@given(st.text() | JSON.map(json.dumps) | NEARLY, st.booleans())
@example("[]", True)
@example("null", True)
@example("5", True)
@example('"x"', True)
@example(json.dumps({"type": "x" * 300}), True)
@example(json.dumps({"type": "ü" * 60}, ensure_ascii=False), True)
@example('{"type":{"type":"ping"}}', True)
@example("[" * 10_000, True)
@example('{"type":"join","since":' + "9" * 5_000 + "}", True)
@example(r'{"type":"ping","\ud800":1}', True)
def test_any_text_is_answered_and_never_raises(text: str, said_hello: bool) -> None:
    session = greeted() if said_hello else opened()
    actions = session.receive(text, 1.0)
    assert actions
    assert_sendable(actions)
    assert session.ended == any(isinstance(action, End) for action in actions)


@property_test
@given(st.binary(), st.booleans())
@example(b"\xff", True)
@example(b'{"type":"ping\xff"}', True)
@example(b"\xed\xa0\x80", False)
@example(b"", True)
def test_any_bytes_are_answered_and_never_raise(data: bytes, said_hello: bool) -> None:
    session = greeted() if said_hello else opened()
    assert_sendable(session.receive(data, 1.0))


def frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


ROOMS = st.sampled_from(["a", "b", "c", "d"])
FRAMES = st.one_of(
    st.builds(lambda room: frame("join", room=room), ROOMS),
    st.builds(lambda room: frame("join", room=room, since=3, epoch="e"), ROOMS),
    st.builds(lambda room: frame("leave", room=room), ROOMS),
    st.builds(lambda room: frame("send", room=room, key="k", text="x"), ROOMS),
    st.builds(lambda room: frame("typing", room=room), ROOMS),
    st.builds(lambda status: frame("status", status=status), st.sampled_from(["online", "away", "offline"])),
    st.just(frame("ping")),
    st.just(frame("hello", token="t")),
    st.just(frame("auth", token="t")),
    st.just(frame("send", room="a", key="k", text=" ")),
    st.text(max_size=5),
    NEARLY,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), FRAMES),
        st.tuples(st.just("frame"), FRAMES),
        st.tuples(st.just("binary"), st.just("")),
        st.tuples(st.sampled_from(["tick", "verified", "refused", "accepted", "temporary", "joined", "failed"]), ROOMS),
    ),
    max_size=60,
)
CLOCK = st.floats(min_value=0, max_value=100, allow_nan=False)


class Driver:
    """A transport that carries out the actions whenever the test likes, and checks the bounds after each step."""

    def __init__(self) -> None:
        self.session = opened()
        self.now = 0.0
        self.submitted: list[CommandFrame] = []
        self.joining: set[str] = set()
        self.subscribed: set[str] = set()
        self.verifying = 0

    def step(self, kind: str, value: str, seconds: float) -> list[Action]:
        self.now += seconds
        actions = self._do(kind, value)
        for action in actions:
            match action:
                case Submit(sent):
                    self.submitted.append(sent)
                case Subscribe(room):
                    self.joining.add(room)
                case Unsubscribe(room):
                    self.subscribed.discard(room)
                case Verify():
                    self.verifying += 1
                case ShowTyping(room):
                    assert room in self.session.rooms
                case Report(status):
                    assert status in ("online", "away")
        return actions

    def _do(self, kind: str, value: str) -> list[Action]:
        session = self.session
        match kind:
            case "frame":
                return session.receive(value, self.now)
            case "binary":
                return session.receive_binary()
            case "tick":
                return session.tick(self.now, self.now)
            case "verified" if self.verifying:
                self.verifying -= 1
                return session.verified(User("ann", "Ann", EXPIRES), 0.0)
            case "refused" if self.verifying:
                self.verifying -= 1
                return session.refused("no")
            case "accepted" | "temporary" if self.submitted:
                answer = Accepted(id="i", seq=1, number=1) if kind == "accepted" else unavailable()
                return session.answered(self.submitted.pop(), answer)
            case "joined" | "failed" if value in self.joining:
                self.joining.discard(value)
                session.subscribed(value, done=kind == "joined")
                if kind == "joined":
                    self.subscribed.add(value)
        return []

    def check(self) -> None:
        session = self.session
        assert 0 <= session.unanswered <= LIMITS.unanswered
        assert session.unanswered == len(self.submitted)
        assert len(session.rooms) <= LIMITS.rooms
        assert session.joining <= session.rooms
        assert session.buckets.frames.level <= LIMITS.frames.burst
        assert session.buckets.refusals.level <= LIMITS.refusals.burst
        assert session.buckets.typing.level <= LIMITS.typing.burst
        assert session.buckets.statuses.level <= LIMITS.statuses.burst


def unavailable() -> Refused:
    return Refused(id="i", code=Code.UNAVAILABLE, detail="later")


@property_test
@given(STEPS, st.lists(CLOCK, min_size=60, max_size=60))
def test_its_bounds_hold_in_any_order_of_frames_and_answers(steps: list[tuple[str, str]], clock: list[float]) -> None:
    driver = Driver()
    for (kind, value), seconds in zip(steps, clock, strict=False):
        assert_sendable(driver.step(kind, value, seconds))
        driver.check()


@property_test
@given(STEPS, STEPS)
def test_after_its_end_nothing_follows(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    """Answers that come late included: there is nobody to hand them to."""
    driver = Driver()
    driver.step("frame", frame("hello", token="t"), 0)
    driver.step("verified", "", 0)
    for kind, value in before:
        driver.step(kind, value, 0.01)
    if not driver.session.ended:
        driver.step("binary", "", 0)
    assert driver.session.ended
    for kind, value in after:
        assert driver.step(kind, value, 10) == []
        assert driver.session.unanswered >= 0


@property_test
@given(st.lists(st.floats(min_value=-1e6, max_value=1e6, allow_nan=False), max_size=30))
def test_no_clock_makes_it_raise(moments: list[float]) -> None:
    session = greeted()
    for moment in moments:
        assert_sendable(session.receive(frame("ping"), moment))
        assert_sendable(session.tick(moment, moment))


@property_test
@given(st.lists(CLOCK, max_size=200))
def test_it_lets_through_no_more_than_the_bucket_holds(gaps: list[float]) -> None:
    now, taken = 0.0, 1
    session = greeted()
    for gap in gaps:
        now += gap / 1_000
        if not isinstance(session.receive(frame("ping"), now)[0], End):
            taken += 1
        if session.ended:
            break
    assert taken <= LIMITS.frames.burst + now * LIMITS.frames.per_second + 1e-6


@pytest.mark.parametrize(("kind", "rate"), [("typing", LIMITS.typing), ("status", LIMITS.statuses)])
@property_test
@given(gaps=st.lists(st.floats(0.0, 3.0), max_size=60))
def test_what_does_not_last_is_shown_no_more_often_than_its_bucket_lets_it(
    kind: str, rate: Rate, gaps: list[float]
) -> None:
    session, now, shown = greeted(), 0.0, 0
    joined(session)
    said = frame("typing", room="a") if kind == "typing" else frame("status", status="away")
    for gap in gaps:
        now += gap
        (action, *end) = session.receive(said, now)
        if action in (ShowTyping("a"), Report("away")):
            shown += 1
        else:
            assert codes([action]) == [Code.TOO_MANY]
            assert isinstance(action, Reply)
            assert isinstance(action.frame, f.Error)
            assert action.frame.temporary
            assert action.frame.retry_after is not None
        if end:
            break
    assert shown <= rate.burst + now * rate.per_second + 1e-6
    assert shown >= min(len(gaps), rate.burst)


def joined(session: RecordedProtocol) -> None:
    """Have the session join room a."""
    assert session.receive(frame("join", room="a"), 0.0) == [Subscribe("a", None, None)]
    session.subscribed("a", done=True)


def test_typing_is_shown_in_rooms_that_are_joined_and_in_no_others() -> None:
    session = greeted()
    assert codes(session.receive(frame("typing", room="a"), 0.0)) == [Code.NOT_FOUND]
    joined(session)
    assert session.receive(frame("typing", room="a"), 0.0) == [ShowTyping("a")]
    assert codes(session.receive(frame("typing", room="b"), 0.0)) == [Code.NOT_FOUND]
    session.receive(frame("leave", room="a"), 0.0)
    assert codes(session.receive(frame("typing", room="a"), 0.0)) == [Code.NOT_FOUND]


def test_nobody_types_in_an_inbox() -> None:
    session = greeted()
    session.receive(frame("join", room="@me"), 0.0)
    session.subscribed("@me", done=True)
    assert codes(session.receive(frame("typing", room="@me"), 0.0)) == [Code.INVALID]


@pytest.mark.parametrize("status", ["offline", "busy", "", None, 1])
def test_a_device_is_online_or_away_and_nothing_else(status: object) -> None:
    session = greeted()
    assert session.receive(frame("status", status="away"), 0.0) == [Report("away")]
    assert session.receive(frame("status", status="online"), 0.0) == [Report("online")]
    assert codes(session.receive(frame("status", status=status), 0.0)) == [Code.INVALID]


@pytest.mark.parametrize("kind", ["join", "send", "leave", "typing", "status", "ping"])
def test_the_first_frame_must_be_hello(kind: str) -> None:
    fields = {
        "join": {"room": "a"},
        "leave": {"room": "a"},
        "send": {"room": "a", "key": "k", "text": "x"},
        "typing": {"room": "a"},
        "status": {"status": "away"},
        "ping": {},
    }
    (end,) = opened().receive(frame(kind, **fields[kind]), 0.0)
    assert isinstance(end, End)
    assert end.code == Close.BAD_FRAME


def test_the_hello_has_its_time_to_the_moment() -> None:
    session = opened(10.0)
    assert session.tick(10.0 + HELLO_WITHIN, 0.0) == []
    (end,) = session.tick(10.0 + HELLO_WITHIN + 0.001, 0.0)
    assert isinstance(end, End)
    assert end.code == Close.NO_HELLO


def test_silence_ends_it_and_any_frame_breaks_the_silence() -> None:
    session = greeted()
    session.receive(frame("ping"), 50.0)
    assert session.tick(50.0 + SILENT_AFTER, 0.0) == []
    (end,) = session.tick(50.1 + SILENT_AFTER, 0.0)
    assert isinstance(end, End)
    assert end.code == Close.SILENT


def streaming(people: PersonLimits | None = None) -> RecordedProtocol:
    """Return the session of a client that cannot speak."""
    return RecordedProtocol(LIMITS, people or everybody(), 0.0, one_way=True)


def test_who_cannot_speak_is_not_ended_for_silence_and_is_told_when_to_expect_a_sign_of_life() -> None:
    session = streaming()
    (welcome,) = session.verified(User("ann", "Ann", EXPIRES), 0.0)
    assert isinstance(welcome, Reply)
    assert isinstance(welcome.frame, f.Welcome)
    assert welcome.frame.ping == LIMITS.keep_alive
    assert session.tick(10 * SILENT_AFTER, 0.0) == []


def test_who_cannot_renew_a_token_is_ended_before_it_expires() -> None:
    session = streaming()
    session.verified(User("ann", "Ann", EXPIRES), 0.0)
    assert session.tick(0.0, EXPIRES - EXPIRES_EARLY - 0.1) == []
    (end,) = session.tick(0.0, EXPIRES - EXPIRES_EARLY)
    assert isinstance(end, End)
    assert end.code == Close.TOKEN_REFUSED


def test_what_came_with_the_request_is_followed_unless_the_person_has_too_many_connections() -> None:
    people = everybody()
    joins = [f.Join(room="a", since=3, epoch="e"), f.Join(room="b")]
    for _ in range(2):
        session = streaming(people)
        session.verified(User("ann", "Ann", EXPIRES), 0.0)
        assert session.follow(joins) == [Subscribe("a", 3, "e"), Subscribe("b", None, None)]
        assert session.rooms == session.joining == {"a", "b"}
    crowded = streaming(people)
    assert isinstance(crowded.verified(User("ann", "Ann", EXPIRES), 0.0)[-1], End)
    assert crowded.follow(joins) == []


def test_the_token_holds_until_it_expires() -> None:
    session = greeted()
    assert session.tick(1.0, EXPIRES - 0.001) == []
    (end,) = session.tick(1.0, EXPIRES)
    assert isinstance(end, End)
    assert end.code == Close.TOKEN_REFUSED


def renew(session: RecordedProtocol, user: User, wall: float = 0.0) -> list[Action]:
    """Say auth and have the token found good."""
    assert session.receive(frame("auth", token="new"), 1.0) == [Verify("new")]
    return session.verified(user, wall)


def test_a_new_token_takes_the_place_of_the_one_that_expires() -> None:
    session = greeted()
    assert renew(session, User("ann", "Ann", EXPIRES + 500), EXPIRES - 10) == [Reply(f.Renewed(expires_in=510))]
    assert session.tick(1.0, EXPIRES + 499) == []
    (end,) = session.tick(1.0, EXPIRES + 500)
    assert isinstance(end, End)
    assert end.code == Close.TOKEN_REFUSED


def test_a_token_of_somebody_else_or_a_bad_one_changes_nothing() -> None:
    session = greeted()
    assert codes(renew(session, User("bob", "Bob", EXPIRES + 500))) == [Code.UNAUTHORIZED]
    session.receive(frame("auth", token="bad"), 1.0)
    refused = session.refused("no")
    assert codes(refused) == [Code.UNAUTHORIZED]
    assert isinstance(refused[0], Reply)
    assert isinstance(refused[0].frame, f.Error)
    assert not refused[0].frame.temporary
    assert session.user == User("ann", "Ann", EXPIRES)
    assert session.tick(1.0, EXPIRES - 1) == []
    assert session.tick(1.0, EXPIRES) != []


def test_who_said_hello_in_time_is_not_blamed_for_a_slow_check() -> None:
    session = opened()
    session.receive(frame("hello", token="t"), 1.0)
    assert session.tick(HELLO_WITHIN * 2, 0.0) == []


def test_auth_is_no_hello() -> None:
    (end,) = opened().receive(frame("auth", token="t"), 0.0)
    assert isinstance(end, End)
    assert end.code == Close.BAD_FRAME


def test_sends_beyond_the_limit_are_refused_until_an_answer_comes() -> None:
    session = greeted()
    sends = [frame("send", room="a", key=f"k{number}", text="x") for number in range(5)]
    first = [session.receive(send, 0.0)[0] for send in sends[:3]]
    assert all(isinstance(action, Submit) for action in first)
    refused = session.receive(sends[3], 0.0)
    assert codes(refused) == [Code.TOO_MANY]
    assert isinstance(refused[0], Reply)
    assert refused[0].frame == f.Error(
        frame="send", key="k3", room="a", code="too_many", detail="3 sends wait for their ack already", temporary=True
    )
    session.answered(f.Send(room="a", key="k0", text="x"), unavailable())
    assert isinstance(session.receive(sends[4], 0.0)[0], Submit)


def test_a_room_that_could_not_be_joined_counts_no_more() -> None:
    session = greeted()
    for room in ("a", "b"):
        session.receive(frame("join", room=room), 0.0)
    assert codes(session.receive(frame("join", room="c"), 0.0)) == [Code.TOO_MANY]
    session.subscribed("a", done=False)
    session.subscribed("b", done=True)
    assert session.receive(frame("join", room="c"), 0.0) == [Subscribe("c", None, None)]
    assert codes(session.receive(frame("leave", room="a"), 0.0)) == [Code.NOT_FOUND]
