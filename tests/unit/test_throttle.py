"""What is refused is said once and then rarely, whoever chooses what is in the line."""

from warren.throttle import EVERY, KINDS, LINES, LINES_A_SECOND, LogThrottle


def test_the_same_is_said_at_once_and_then_rarely_with_how_often_it_was_passed_over() -> None:
    throttle = LogThrottle()
    assert throttle.due("x", 0.0) == 0
    assert [throttle.due("x", 1.0) for _ in range(5)] == [None] * 5
    assert throttle.due("y", 1.0) == 0
    assert throttle.due("x", EVERY) == 5
    assert throttle.due("x", EVERY) is None


def test_what_is_always_another_thing_is_bounded_too() -> None:
    throttle = LogThrottle()
    said = [throttle.due(number, number / 1_000) is not None for number in range(60_000)]
    assert sum(said) <= LINES + 60 * LINES_A_SECOND
    assert sum(said) >= LINES
    assert len(throttle._said) <= KINDS
