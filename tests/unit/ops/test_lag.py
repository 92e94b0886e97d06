"""The lag of an event loop: what blocks it counts, and what keeps the machine busy elsewhere does not."""

import asyncio
import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY
from warren.ops.lag import CHECK_EVERY, LagProbe

LONG = 0.2
"""Seconds: above the next bound of the histogram even when the look was just due."""


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
