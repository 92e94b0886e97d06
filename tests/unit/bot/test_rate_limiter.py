"""Who has to wait before something more is said."""

import asyncio

from harness.concurrency import run_concurrently
from warren.bot.broker.rate_limiter import RateLimiter
from warren.rates import Rate


async def test_whoever_comes_later_speaks_later() -> None:
    limiter, came, spoke = RateLimiter(Rate(1_000, 1)), list[int](), list[int]()

    async def speak(number: int) -> None:
        for _ in range(3):
            came.append(number)
            await limiter.acquire()
            spoke.append(number)

    await run_concurrently(*(speak(number) for number in range(10)))
    assert spoke == came


async def test_one_who_gives_up_waiting_holds_up_nobody() -> None:
    limiter = RateLimiter(Rate(100, 1))
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()
    await waiting[2]
    assert [task.cancelled() for task in waiting] == [True, True, False]
