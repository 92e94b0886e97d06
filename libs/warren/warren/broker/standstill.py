"""Waits for a peer's answer in seconds in which this process runs: a question comes in, its answer goes out, or None.

A process that stood still (stopped, without a processor, at work on something else) finds its timers over before it
reads a byte of what came meanwhile. What the peer did in that time it cannot know, so that time does not count.
"""

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
SLICE = 0.25
"""Seconds, at most, of which a wait is made up: one that takes twice as long does not count."""


async def answer_within(question: Coroutine[Any, Any, Answer], seconds: float) -> Answer | None:
    """Return the answer, or None if there is none in time. Raises what the question raises."""
    asking = asyncio.ensure_future(question)
    left = slices = math.ceil(seconds / SLICE)
    try:
        while left and not asking.done():
            began = time.monotonic()
            await asyncio.wait({asking}, timeout=seconds / slices)
            left -= not stood_still(began, seconds / slices)
        return asking.result() if asking.done() else None
    finally:
        # Not waited for: aiormq has something to say to the silent peer first.
        asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        asking.cancel()


def stood_still(began: float, seconds: float) -> float:
    """Return for how many seconds the process stood still in a wait of so many that began then; 0.0 for a busy loop."""
    late = time.monotonic() - began - seconds
    return late if late > seconds else 0.0
