"""What a benchmark measures: a chat system that runs, whichever it is."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from benchmarks.load import Load

LOAD = "load"
"""The name of the load generator among the measured processes."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system that was started, and the load that is connected to it."""

    load: Load
    pids: dict[str, int]


@dataclass(frozen=True, slots=True)
class System:
    """A chat system: how it is called, what runs, what it does and does not do, and how it is started."""

    name: str
    parts: str
    does: str
    start: Callable[[], AbstractAsyncContextManager[Running]]
