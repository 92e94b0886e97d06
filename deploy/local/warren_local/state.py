"""The one file that tells other commands what `up` runs."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import pidfile


@dataclass
class Row:
    """One process as `status` shows it; `started` is in seconds since 1970."""

    service: str
    name: str
    pid: int | None
    port: int | None
    health: str | None
    restarts: int = 0
    started: float = 0.0


@dataclass
class State:
    """A supervisor and what it runs."""

    pid: int
    created: float
    base: int
    ready: bool = False
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def own(cls, base: int) -> "State":
        """The state of a supervisor that is this process."""
        return cls(pid=os.getpid(), created=pidfile.created(os.getpid()) or 0.0, base=base)

    def save(self, home: Path) -> None:
        """Write it whole or not at all."""
        new = home / "state.new"
        new.write_text(json.dumps(asdict(self), indent=1))
        new.rename(_path(home))


def running(home: Path) -> State | None:
    """The state of the supervisor that runs now, or None."""
    try:
        data = json.loads(_path(home).read_text())
        state = State(**{**data, "rows": [Row(**row) for row in data["rows"]]})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return state if pidfile.alive(state.pid, state.created) else None


def forget(home: Path) -> None:
    """Remove the file of a supervisor that has ended."""
    _path(home).unlink(missing_ok=True)


def _path(home: Path) -> Path:
    return home / "state.json"
