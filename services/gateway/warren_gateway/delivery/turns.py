"""Long work on the event loop, in portions between which others have their turn."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

PORTION = 200
"""Steps in one turn of the event loop: less than a millisecond, if a step takes microseconds."""


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield what there is now, and let others have their turn after each portion."""
    for number, item in enumerate(tuple(items), 1):
        yield item
        if not number % PORTION:
            await asyncio.sleep(0)
