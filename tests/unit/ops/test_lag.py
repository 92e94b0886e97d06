"""The lag of an event loop: what blocks it counts, and what keeps the machine busy elsewhere does not."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from warren.ops import lag
from warren.ops.lag import CHECK_EVERY, IDLE_AFTER, IDLE_CHECK_EVERY, LagProbe

LONG = 0.2
"""Seconds: above the next bound of the histogram even when the look was just due."""


def looks() -> float:
    """Return how often a loop was looked at."""
    return REGISTRY.get_sample_value("warren_event_loop_lag_seconds_count") or 0.0


def lags_above(seconds: str) -> float:
    """Return how many lags were longer than this."""
    name = "warren_event_loop_lag_seconds"
    counted = REGISTRY.get_sample_value(f"{name}_bucket", {"le": "+Inf"}) or 0.0
    return counted - (REGISTRY.get_sample_value(f"{name}_bucket", {"le": seconds}) or 0.0)


def works() -> None:
    end = time.thread_time() + LONG
    while time.thread_time() < end:
        pass


def is_kept_from_working() -> None:
    """Stand in for a machine that is busy with something else: time passes, and the thread does nothing."""
    time.sleep(LONG)


@pytest.mark.parametrize(("does", "counted"), [(works, 1), (is_kept_from_working, 0)])
async def test_the_lag_is_what_the_loop_has_worked_and_not_what_others_have(
    does: Callable[[], None], counted: int
) -> None:
    probe = LagProbe()
    before = lags_above("0.1")
    probe.start()
    await asyncio.sleep(2 * CHECK_EVERY)
    does()
    await asyncio.sleep(2 * CHECK_EVERY)
    probe.stop()
    assert lags_above("0.1") - before == counted


async def test_an_idle_loop_is_looked_at_less_often_and_one_that_works_as_often_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is by the thread's own time that a loop is idle; here the test says what that is."""
    spent = 0.0
    monkeypatch.setattr(lag, "time", SimpleNamespace(monotonic=time.monotonic, thread_time=lambda: spent))
    probe = LagProbe()

    async def looked(times: int) -> float:
        """Return the shortest time, in seconds, between so many looks."""
        at = [time.monotonic()]
        before = looks()
        while len(at) <= times:
            await asyncio.sleep(0.001)
            if looks() > before:
                before = looks()
                at.append(time.monotonic())
        return min(later - earlier for earlier, later in pairwise(at[1:]))

    probe.start()
    assert await looked(5) < IDLE_CHECK_EVERY / 2
    await asyncio.sleep(IDLE_AFTER)
    assert await looked(3) > IDLE_CHECK_EVERY / 2
    spent += LONG
    await looked(2)
    assert await looked(5) < IDLE_CHECK_EVERY / 2
    probe.stop()
