"""Limits: what is let through, when it recovers, and that no table grows without end."""

import hypothesis.strategies as st
import pytest
from harness.recorded_protocol import Action, End, RecordedProtocol, Reply, Submit, Subscribe
from hypothesis import given, settings
from warren.contract import frames as f
from warren.contract.codes import Close, Code
from warren.rates import TIDY, Bucket, Buckets, Rate, seconds
from warren_gateway.auth.tokens import User
from warren_gateway.connections.limits import (
    ConcurrencyLimiter,
    ConnectionLimits,
    PersonLimits,
    address_key,
    address_of,
)

property_test = settings(max_examples=200, deadline=None)
SLACK = 1e-6
"""Seconds: what floating point may lose of a time."""
GAPS = st.lists(st.floats(0, 10), max_size=100)


@property_test
@given(st.floats(0.1, 1_000), st.integers(1, 1_000), GAPS)
def test_what_a_bucket_says_to_wait_is_enough_and_not_too_much(rate: float, burst: int, gaps: list[float]) -> None:
    now = 100.0
    found = Bucket.full(rate, burst, now)
    for gap in gaps:
        now += gap
        while found.take(now):
            pass
        wait = found.wait(now)
        assert 0 < wait <= 1 / rate * 1.000001
        assert Bucket(rate, burst, found.level, now).take(now + wait + SLACK)
        if wait > 2 * SLACK:
            assert not Bucket(rate, burst, found.level, now).take(now + wait - SLACK)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    found = Bucket.full(1, 5, 100.0)
    assert found.take(50.0)
    assert found.level == 4


def test_each_key_has_a_bucket_of_its_own() -> None:
    found = Buckets(Rate(1, 2))
    assert [found.take("a", 0.0) for _ in range(3)] == [0, 0, 1]
    assert found.take("b", 0.0) == 0
    assert found.wait("a", 0.5) == 0.5
    assert found.wait("c", 0.5) == 0
    assert found.take("a", 1.0) == 0


@property_test
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=300))
def test_a_table_holds_no_more_than_it_may(
    takes: list[tuple[int, float]],
) -> None:
    now, found = 0.0, Buckets(Rate(2, 3), most=10)
    for number, gap in takes:
        now += gap
        found.take(f"k{number}", now)
        assert len(found) <= 10


def test_a_flood_of_keys_is_forgotten_when_it_is_over() -> None:
    found = Buckets(Rate(10, 2), most=1_000)
    for number in range(5_000):
        found.take(f"k{number}", 0.0)
    assert len(found) == 1_000
    for _ in range(1_000 // (TIDY - 1)):
        found.take("last", 10.0)
    assert len(found) == 1


def test_who_is_limited_stays_so_while_others_come_and_go() -> None:
    found = Buckets(Rate(0.001, 1), most=100)
    found.take("a", 0.0)
    for number in range(99):
        assert found.take("a", 1.0) > 0
        found.take(f"k{number}", 1.0)
    assert found.take("a", 1.0) > 0


@property_test
@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=200))
def test_places_are_taken_and_given_back(steps: list[tuple[bool, str]]) -> None:
    found = ConcurrencyLimiter(3)
    held = dict.fromkeys("abc", 0)
    for enters, key in steps:
        if enters:
            assert found.enter(key) == (held[key] < 3)
            held[key] = min(3, held[key] + 1)
        elif held[key]:
            found.leave(key)
            held[key] -= 1
        assert len(found) == sum(1 for count in held.values() if count)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("127.0.0.2", "127.0.0.2"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "?"),
        ("unknown", "?"),
        ("x" * 500, "?"),
    ],
)
def test_what_counts_as_one_address(host: str, key: str) -> None:
    assert address_key(host) == key
    assert address_of({"client": (host, 1)}) == key


def test_without_a_client_there_is_one_address_for_all() -> None:
    assert address_of({"client": None}) == address_of({}) == "?"


@pytest.mark.parametrize(("wait", "said"), [(0.0, 1), (0.01, 1), (1.0, 1), (1.01, 2), (59.5, 60)])
def test_retry_after_is_whole_seconds_and_never_too_early(wait: float, said: int) -> None:
    assert seconds(wait) == said


# The session: what one connection and one person may do.

LIMITS = ConnectionLimits(
    frames=Rate(1_000, 10_000),
    messages=Rate(2, 4),
    joins=Rate(2, 3),
    typing=Rate(1, 2),
    statuses=Rate(1, 2),
    refusals=Rate(0.5, 5),
    unanswered=100,
    rooms=50,
)


def people(messages: float = 100, connections: int = 5) -> PersonLimits:
    once = Rate(1, 1)
    return PersonLimits(
        messages=Rate(1, messages), changes=once, reads=once, joins=once, typing=once, connections=connections
    )


def session(shared: PersonLimits, user: str = "ann") -> tuple[RecordedProtocol, list[Action]]:
    """Return a session after its hello, and how that was answered."""
    found = RecordedProtocol(LIMITS, shared, 0.0)
    found.receive('{"type":"hello","token":"t"}', 0.0)
    return found, found.verified(User(user, user, 1_000.0), 0.0)


def send(found: RecordedProtocol, now: float) -> list[Action]:
    return found.receive('{"type":"send","room":"a","key":"k","text":"x"}', now)


def join(found: RecordedProtocol, room: str, now: float) -> list[Action]:
    return found.receive(f'{{"type":"join","room":"{room}"}}', now)


def the_error(actions: list[Action]) -> f.Error:
    (reply,) = actions
    assert isinstance(reply, Reply)
    assert isinstance(reply.frame, f.Error)
    return reply.frame


def test_too_many_messages_are_refused_until_the_time_that_is_said() -> None:
    found, _ = session(people())
    assert all(isinstance(send(found, 0.0)[0], Submit) for _ in range(4))
    error = the_error(send(found, 0.0))
    assert (error.code, error.key, error.room, error.temporary, error.retry_after) == ("too_many", "k", "a", True, 1)
    assert isinstance(send(found, 1.0)[0], Submit)
    assert isinstance(send(found, 1.0)[0], Submit)
    assert the_error(send(found, 1.0)).code == Code.TOO_MANY


def test_a_person_has_one_measure_for_all_connections() -> None:
    shared = people(messages=6)
    (one, _), (other, _), (another, _) = session(shared), session(shared), session(shared, "bob")
    assert all(isinstance(send(one, 0.0)[0], Submit) for _ in range(4))
    assert all(isinstance(send(other, 0.0)[0], Submit) for _ in range(2))
    assert the_error(send(other, 0.0)).retry_after == 1
    assert isinstance(send(another, 0.0)[0], Submit)
    assert isinstance(send(other, 1.0)[0], Submit)


def test_a_message_that_the_person_may_not_send_costs_the_connection_nothing() -> None:
    found, _ = session(people(messages=1))
    send(found, 0.0)
    assert the_error(send(found, 0.0)).code == Code.TOO_MANY
    assert found.buckets.messages.level == 3


def test_too_many_joins_are_refused_until_the_time_that_is_said() -> None:
    found, _ = session(people())
    assert all(isinstance(join(found, room, 0.0)[0], Subscribe) for room in "abc")
    error = the_error(join(found, "d", 0.0))
    assert (error.code, error.room, error.temporary, error.retry_after) == ("too_many", "d", True, 1)
    assert "d" not in found.rooms
    assert isinstance(join(found, "d", 1.0)[0], Subscribe)


def test_who_goes_on_after_being_refused_is_cut_with_4505() -> None:
    found, _ = session(people())
    invalid = '{"type":"send","room":"A","key":"k","text":"x"}'
    assert all(the_error(found.receive(invalid, 0.0)).code == Code.INVALID for _ in range(5))
    _, end = found.receive(invalid, 0.0)
    assert isinstance(end, End)
    assert end.code == Close.FLOODING
    assert send(found, 0.0) == []


def test_who_is_refused_now_and_then_is_not_cut() -> None:
    found, _ = session(people())
    for number in range(100):
        the_error(found.receive('{"type":"join","room":"A"}', number * 2.0))


def test_a_person_has_so_many_connections_and_the_next_is_told_when_to_come_back() -> None:
    shared = people(connections=2)
    (one, _), (_, _) = session(shared), session(shared)
    crowded, actions = session(shared)
    bye, end = actions
    assert bye == Reply(f.Bye(code=Close.TOO_MANY, after_ms=30_000))
    assert isinstance(end, End)
    assert end.code == Close.TOO_MANY
    crowded.close()
    assert not isinstance(session(shared)[1][-1], Reply)
    one.close()
    one.close()
    assert isinstance(session(shared)[1][-1], Reply)
    assert isinstance(session(shared)[1][-1], End)


def test_a_renewal_takes_no_second_connection() -> None:
    shared = people(connections=1)
    found, _ = session(shared)
    found.receive('{"type":"auth","token":"t"}', 0.0)
    found.verified(User("ann", "Ann", 2_000.0), 0.0)
    found.close()
    assert len(shared.connections) == 0


def test_where_tokens_are_not_looked_at_a_newcomer_waits_and_the_others_stay() -> None:
    newcomer = RecordedProtocol(LIMITS, people(), 0.0)
    newcomer.receive('{"type":"hello","token":"t"}', 0.0)
    bye, end = newcomer.not_now("too many", Code.TOO_MANY, 2.5)
    assert bye == Reply(f.Bye(code=Close.TOO_MANY, after_ms=3_000))
    assert isinstance(end, End)
    found, _ = session(people())
    assert (the_error(found.not_now("too many", Code.TOO_MANY, 2.5)).retry_after, found.ended) == (3, False)


def test_whose_key_is_not_known_yet_comes_back_and_is_not_signed_out() -> None:
    newcomer = RecordedProtocol(LIMITS, people(), 0.0)
    newcomer.receive('{"type":"hello","token":"t"}', 0.0)
    bye, end = newcomer.not_now("not yet", Code.UNAVAILABLE, 4.5)
    assert bye == Reply(f.Bye(code=Close.KEY_UNKNOWN, after_ms=5_000))
    assert end == End(Close.KEY_UNKNOWN, "not yet")
    assert 4_000 <= Close.KEY_UNKNOWN < 4_500
    found, _ = session(people())
    error = the_error(found.not_now("not yet", Code.UNAVAILABLE, 4.5))
    assert (error.frame, error.code, error.temporary, error.retry_after) == ("auth", "unavailable", True, 5)
    assert not found.ended
