"""Background tasks beside a test."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

AGAIN_AFTER = 5.0
"""Seconds for whoever is cancelled to clean up."""


@asynccontextmanager
async def background_tasks(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Do all of it until the block is left, which fails as soon as one of them does; yield their tasks."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield tasks
        finally:
            # Until they have ended: asyncio.wait_for of Python 3.11, which libraries use, may lose a cancellation.
            pending = set(tasks)
            while pending:
                for task in pending:
                    task.cancel()
                _, pending = await asyncio.wait(pending, timeout=AGAIN_AFTER)
