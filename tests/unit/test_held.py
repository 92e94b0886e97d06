"""Requests that are held: who hears of the process's end, and when."""

import asyncio
from collections.abc import Callable
from typing import Any

from warren_gateway.held import held
from warren_gateway.listener import Listener


class Closed(asyncio.Transport):
    def close(self) -> None:
        pass


class Told(Listener):
    """A connection without a server."""

    def __init__(self) -> None:
        self.cycle: Any = None
        self.transport = Closed()


async def never() -> Any:
    await asyncio.Event().wait()


def nothing() -> None:
    pass


async def test_the_process_may_be_told_to_stop_while_a_request_is_held_or_just_before_it_is() -> None:
    def stop_before(connection: Told, stopping: Callable[[], None]) -> None:
        connection.shutdown()
        with held(connection, never, stopping, nothing):
            pass

    def stop_meanwhile(connection: Told, stopping: Callable[[], None]) -> None:
        with held(connection, never, stopping, nothing):
            connection.shutdown()

    for stop in (stop_before, stop_meanwhile):
        told: list[None] = []
        stop(Told(), lambda told=told: told.append(None))  # type: ignore[misc]
        assert len(told) == 1
