"""Records of the processes the runner started, so that leftovers of a killed runner are ended and nothing else is."""

import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from .errors import LocalError

STOP_TIMEOUT = 20.0
"""Seconds a leftover has to end by itself; as long as any process of ours needs."""

CLOCK_SLACK = 2.0
"""Seconds by which the creation time that the system reports may wander when its clock is set."""


def created(pid: int) -> float | None:
    """When the process was made (seconds since 1970), or None if there is none, or only its zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def alive(pid: int, made: float) -> bool:
    """Whether the pid still belongs to the process that was made then, and not to a later one."""
    now = created(pid)
    return now is not None and abs(now - made) <= CLOCK_SLACK


def write(path: Path, pid: int) -> None:
    """Record a process started by this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = os.getpid()
    record = {"pid": pid, "created": created(pid) or 0.0, "owner": owner, "owner_created": created(owner)}
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record))
    new.rename(path)


def clear(path: Path) -> bool:
    """End the process of a record whose owner is gone, and forget the record; True if one was ended.

    Raises LocalError if the owner still lives: then the process is in use.
    """
    pid = _leftover(path)
    if pid is not None:
        _end([pid])
    path.unlink(missing_ok=True)
    return pid is not None


def clear_all(home: Path) -> list[str]:
    """End every leftover recorded under a state folder, and return their names; those in use are left alone."""
    found: dict[Path, int] = {}
    for path in sorted((home / "run").glob("*.json")):
        try:
            pid = _leftover(path)
        except LocalError:
            continue
        if pid is None:
            path.unlink(missing_ok=True)
        else:
            found[path] = pid
    _end(list(found.values()))
    for path in found:
        path.unlink(missing_ok=True)
    return [path.stem for path in found]


def _leftover(path: Path) -> int | None:
    """The pid of a record's process if it lives and its owner does not; LocalError if both do."""
    try:
        record = json.loads(path.read_text())
        pid, made, owner, owner_made = (record[key] for key in ("pid", "created", "owner", "owner_created"))
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if not alive(pid, made):
        return None
    if alive(owner, owner_made):
        raise LocalError(f"{path.stem} runs already as process {pid}, started by process {owner}.")
    return int(pid)


def _end(pids: Sequence[int]) -> None:
    """Stop process groups that are not our children's: in order if they can, else by force."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        _signal(pids, number)
    deadline = time.monotonic() + STOP_TIMEOUT
    # Not psutil's wait, for which a zombie lives; some containers' init reaps orphans late.
    while left := [pid for pid in pids if created(pid) is not None]:
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
            return
        time.sleep(0.05)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, number)
