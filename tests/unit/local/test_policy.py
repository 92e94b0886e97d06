"""When the local runner starts a dead process again."""

from warren_local.policy import LONGEST_DELAY, STABLE, History


def die_at_once(history: History, times: int) -> list[float]:
    delays = []
    now = history.started
    for _ in range(times):
        history = history.died(now)
        delays.append(history.delay)
        now += history.delay
        history = history.restarted(now)
    return delays


def test_the_first_restart_is_at_once_and_later_ones_back_off() -> None:
    assert die_at_once(History(started=0.0), 8) == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_DELAY, LONGEST_DELAY]


def test_the_delay_stays_bounded_for_ever() -> None:
    assert History(started=0.0, failures=10_000).delay == LONGEST_DELAY


def test_a_stable_run_forgives_earlier_deaths() -> None:
    history = History(started=100.0, failures=7)
    assert history.died(100.0 + STABLE).delay == 0.0
    assert history.died(100.0 + STABLE - 1).delay == LONGEST_DELAY
