"""What somebody can cause without end is logged once and then rarely, whoever chooses what is in the line."""

import logging

import pytest
from warren.throttle import EVERY, KINDS, LINES, LINES_A_SECOND, LogThrottle


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_same_is_said_at_once_and_then_rarely_with_how_often_it_was_passed_over() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert throttle.due("x") == 0
    assert [throttle.due("x") for _ in range(5)] == [None] * 5
    assert throttle.due("y") == 0
    clock.now = EVERY
    assert throttle.due("x") == 5
    assert throttle.due("x") is None


def test_what_is_always_another_thing_is_bounded_too() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    logged = 0
    for number in range(60_000):
        clock.now = number / 1_000
        logged += throttle.due(number) is not None
    assert LINES <= logged <= LINES + 60 * LINES_A_SECOND
    assert len(throttle._logged) <= KINDS


def test_a_warning_says_how_often_it_was_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    for clock.now in (0.0, 1.0, 2.0, EVERY):
        throttle.warn(logging.getLogger("test"), "x", "refused", who="eve")
    assert [(line.message, *map(vars(line).get, ("who", "passed_over"))) for line in caplog.records] == [
        ("refused", "eve", 0),
        ("refused", "eve", 2),
    ]
