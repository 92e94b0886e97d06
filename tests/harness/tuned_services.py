"""Service processes with bounds set for a test that has to be quick: `python -m harness.tuned_services WHICH`."""

import os
import signal
import sys
from collections.abc import Callable

from warren.ops import mongo
from warren.rates import Rate
from warren_local.service import Service
from warren_persistence.__main__ import main as persistence
from warren_persistence.queries import consumer
from warren_presence.__main__ import main as presence
from warren_presence.domain import shard

from harness.stack import Stack

LONG = 600
"""Seconds that no test takes, however slow the machine is."""
PATH = os.pathsep.join(filter(None, sys.path))


def persistence_with_long_timeouts(stack: Stack) -> Service:
    """Return one more persistence replica, not started: it waits for MongoDB and for what is in hand."""
    return _tuned(stack.extra("persistence", 3, PYTHONPATH=PATH), _run_with_long_timeouts)


def persistence_with_query_limit(stack: Stack) -> Service:
    """Return one more persistence replica, not started: whoever asks for itself alone may ask once a second."""
    return _tuned(stack.extra("persistence", 3, PYTHONPATH=PATH), _run_with_query_limit)


def presence_with_long_grace(stack: Stack) -> Service:
    """Return one more presence replica, not started: everybody's grace lasts until it is `end_grace`."""
    return _tuned(stack.extra("presence", 3, PYTHONPATH=PATH), _run_with_long_grace)


def end_grace(replica: Service) -> None:
    """Have a presence replica that was lenient give no grace from now on."""
    assert replica.pid is not None
    os.kill(replica.pid, signal.SIGUSR1)


def _tuned(service: Service, main: Callable[[], None]) -> Service:
    service.command[1:] = ["-m", __name__, main.__name__]
    return service


def _run_with_long_timeouts() -> None:
    mongo.OPERATION_TIMEOUT = LONG * 1_000
    consumer.STOP_WITHIN = LONG
    persistence()


def _run_with_query_limit() -> None:
    vars(consumer)["ALONE"] = Rate(1, 1)
    persistence()


def _run_with_long_grace() -> None:
    bounds = vars(shard)
    bounds["GRACE"] = LONG
    signal.signal(signal.SIGUSR1, lambda *_: bounds.update(GRACE=0))
    presence()


if __name__ == "__main__":
    {main.__name__: main for main in (_run_with_long_timeouts, _run_with_query_limit, _run_with_long_grace)}[
        sys.argv.pop(1)
    ]()
