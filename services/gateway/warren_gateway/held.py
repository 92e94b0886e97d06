"""Requests that are answered for as long as the client wants."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends
from starlette.types import Receive
from warren.contract.codes import Code

from warren_gateway import metrics
from warren_gateway.deps import Here, Me
from warren_gateway.listener import Listener
from warren_gateway.problems import ProblemError
from warren_gateway.session import CROWDED_MS
from warren_gateway.tokens import User


@contextmanager
def held(
    listener: Listener, receive: Receive, stopping: Callable[[], None], gone: Callable[[], None]
) -> Iterator[None]:
    """Hold a request that came on this connection.

    `stopping` is called when the process is told to stop, `gone` when the client has hung up.
    """
    listener.on_shutdown = stopping
    watching = asyncio.create_task(_watch(receive, gone))
    try:
        yield
    finally:
        watching.cancel()
        listener.on_shutdown = None


async def _watch(receive: Receive, gone: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone()


async def _stayer(user: Me, here: Here) -> User:
    """Return who is asking, at the price of a read, if there is a place among their connections."""
    if here.people.connections.is_full(user.id):
        metrics.LIMITED.labels("connection").inc()
        raise ProblemError(Code.TOO_MANY, "too many connections", CROWDED_MS / 1_000)
    return user


Stayer = Annotated[User, Depends(_stayer)]
