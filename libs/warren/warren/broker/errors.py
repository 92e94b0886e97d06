"""What the loss of the broker looks like, as one exception."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

from aio_pika.exceptions import AMQPError, DeliveryError


class Unavailable(Exception):
    """The broker is not there, or refused. A message under way may or may not have arrived: repeat it by key."""


class Nacked(Unavailable):
    """The broker has the message and did not take it, for one queue at least: full, or on a node that is down."""


class TopologyMissing(Unavailable):
    """The broker is there and the exchanges are not: nobody has declared them yet."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn whatever aio-pika and aiormq raise for a lost channel or connection into Unavailable.

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
    except DeliveryError as error:
        raise Nacked(repr(error)) from error
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        raise Unavailable(repr(error)) from error


async def until_lost(work: Coroutine[Any, Any, object]) -> None:
    """Do one part of what is done on a connection; whichever way it ends by itself, the connection is lost.

    In a group of tasks the others would go on without one that was cancelled by aiormq. Raises Unavailable.
    """
    with translated():
        await work
    raise Unavailable("channel closed")
