"""Long work on the event loop, in slices between which other tasks run."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE = 200
"""Items in one iteration of the event loop: less than a millisecond, if an item takes microseconds."""


async def cooperatively(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield what there is now, and let other tasks run after each slice."""
    for number, item in enumerate(tuple(items), 1):
        yield item
        if not number % SLICE:
            await asyncio.sleep(0)
