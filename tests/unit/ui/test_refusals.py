"""What the page's server logs of people whom the gateways refuse: once, and then rarely."""

from warren_ui.throttle import EVERY, KINDS, LINES, LogThrottle


class Clock:
    """A clock that is put forward by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_same_is_said_once_and_then_with_how_often_it_was_not() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    assert [throttle.due("ana: issuer") for _ in range(3)] == [0, None, None]
    assert throttle.due("ben: issuer") == 0
    clock.now = EVERY
    assert [throttle.due("ana: issuer") for _ in range(2)] == [2, None]


def test_whoever_makes_up_others_causes_so_many_lines_and_is_remembered_within_a_bound() -> None:
    clock = Clock()
    throttle = LogThrottle(clock)
    logged = [throttle.due(f"nobody-{number}") for number in range(3 * max(KINDS, LINES))]
    assert logged.count(0) == LINES
    assert len(throttle._logged) == KINDS
    clock.now = EVERY
    assert throttle.due("ana") == 0
