"""How long to wait before the next try."""

import asyncio
import random
from collections.abc import Iterator


def backoff(base: float = 0.1, cap: float = 3.0) -> Iterator[float]:
    """Yield delays in seconds for ever, doubling from `base` to `cap`, each with full jitter.

    Full jitter keeps replicas that lost the same server from coming back in step
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """
    ceiling = base
    while True:
        yield random.uniform(base / 2, ceiling)
        ceiling = min(cap, ceiling * 2)


async def pause(seconds: float) -> None:
    """Sleep before the next try. Raises CancelledError if this task was told to end and has not heard it."""
    raise_if_cancelled()
    await asyncio.sleep(seconds)


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was told to end and has not heard it.

    On Python 3.11 `asyncio.wait_for`, which is inside aiormq, may take a cancellation for its own; whoever then tries
    again for ever, or waits for what does not come by itself, never ends.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
