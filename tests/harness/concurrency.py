"""Several coroutines at once in a test."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def run_concurrently(*work: Awaitable[Result]) -> list[Result]:
    """Do all of this at once, and return what it comes to; the first that fails ends the rest.

    `asyncio.gather` would leave the rest running: into the next test, which then fails of it, too.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_done(one)) for one in work]
    except BaseExceptionGroup as failed:
        if len(failed.exceptions) == 1:
            raise failed.exceptions[0] from None
        raise
    return [task.result() for task in tasks]


async def _done(work: Awaitable[Result]) -> Result:
    return await work
