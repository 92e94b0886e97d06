"""What the loss of the broker looks like, as one exception."""

import asyncio
import contextlib
from collections.abc import Iterator

from aio_pika.exceptions import AMQPError


class Unavailable(Exception):
    """The broker is not there, or refused. A message under way may or may not have arrived: repeat it by key."""


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
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        raise Unavailable(repr(error)) from error
