"""What the loss of the broker looks like, as one exception."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from traceback import walk_tb
from typing import Any

from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

LIBRARIES = frozenset({"aio_pika", "aiormq", "pamqp"})


class Unavailable(Exception):
    """The broker is not there, or refused. A message under way may or may not have arrived: repeat it by key."""


class Nacked(Unavailable):
    """The broker has the message and did not take it, for one queue at least: full, or on a node that is down."""


class Unroutable(Nacked):
    """No queue takes such a message: who takes them is not set up here."""


class Unresponsive(Unavailable):
    """What should have been done by now is not: the broker is there, and another node may be of more use."""


class NoMajority(Unresponsive):
    """The node does nothing that takes a majority of the cluster; that is so for every connection to it."""


class TopologyMissing(Unavailable):
    """The broker is there and the exchanges are not: nobody has declared them yet."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn whatever a broker brings about that is lost, or makes no sense, into Unavailable; mistakes of ours stay.

    aiormq cancels the calls of a channel that goes away, so a CancelledError is a loss unless the running task was
    itself asked to stop.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise Unavailable("channel lost") from error
    except Exception as error:
        lost = loss(error)
        if lost is None or lost is error:
            raise
        raise lost from error


def loss(error: BaseException) -> Unavailable | None:
    """Return what an exception comes to if the broker brought it about, or None if it is a mistake of ours.

    A peer that is no broker, or one that has gone wrong, makes the libraries raise whatever Python has; so all that
    comes out of them is its doing. What a group of tasks raises is a loss if all in it are.
    """
    if isinstance(error, BaseExceptionGroup):
        losses = [loss(inner) for inner in error.exceptions]
        first = losses[0] if all(losses) else None
        return first and type(first)(str(first))  # another one: what it comes of is no part of what it caused
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, PublishError):
        return Unroutable(f"no queue is bound: {error.frame!r}")  # without the message, which is somebody's
    if isinstance(error, DeliveryError):
        return Nacked(repr(error))
    if isinstance(error, TimeoutError):
        return Unresponsive(repr(error))
    if isinstance(error, AMQPError | OSError | EOFError) or _came_through_a_library(error):
        return Unavailable(repr(error))
    return None


def _came_through_a_library(error: BaseException) -> bool:
    frames = walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] in LIBRARIES for frame, _ in frames)


async def until_lost(work: Coroutine[Any, Any, object]) -> None:
    """Do one part of what is done on a connection; whichever way it ends by itself, the connection is lost.

    In a group of tasks the others would go on without one that was cancelled by aiormq. Raises Unavailable.
    """
    with translated():
        await work
    raise Unavailable("channel closed")
