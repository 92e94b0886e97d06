"""Records of the processes the runner started, so that leftovers of a killed runner are ended and nothing else is."""

import json
import os
import signal
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
    try:
        record = json.loads(path.read_text())
        pid, made, owner, owner_made = (record[key] for key in ("pid", "created", "owner", "owner_created"))
    except (FileNotFoundError, ValueError, KeyError):
        path.unlink(missing_ok=True)
        return False
    ours = alive(pid, made)
    if ours and alive(owner, owner_made):
        raise LocalError(f"{path.stem} runs already as process {pid}, started by process {owner}.")
    if ours:
        _end(pid)
    path.unlink(missing_ok=True)
    return ours


def clear_all(home: Path) -> list[str]:
    """End every leftover recorded under a state folder, and return their names; those in use are left alone."""
    ended = []
    for path in sorted((home / "run").glob("*.json")):
        try:
            if clear(path):
                ended.append(path.stem)
        except LocalError:
            continue
    return ended


def _end(pid: int) -> None:
    """Stop a process group that is not our child's: in order if it can, else by force."""
    process = psutil.Process(pid)
    for number in (signal.SIGTERM, signal.SIGCONT):
        os.killpg(pid, number)
    try:
        process.wait(STOP_TIMEOUT)
    except psutil.TimeoutExpired:
        os.killpg(pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT)
