"""A connection that is kept open ends when it is told to."""

import asyncio
from typing import NoReturn

import aio_pika
import pytest
from warren.broker.link import Link


async def test_a_cancellation_that_a_library_loses_ends_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real connection can be made to lose one on purpose, so this one stands in for it."""
    trying = asyncio.Event()

    async def connect(*_: object, **__: object) -> NoReturn:
        trying.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("lost") from None
        raise AssertionError

    async def serve(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(aio_pika, "connect", connect)
    task = asyncio.create_task(Link("amqp://127.0.0.1:1/", "test", serve).run())
    await trying.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=30)
    if not done:
        task.cancel()
    assert done
    assert task.cancelled()
