"""A child process with its log, its pid file and its own process group."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from . import pidfile
from .errors import LocalError

POLL = 0.05
"""Seconds between two looks at a process that is starting: far below what any of them needs to start."""

LOG_LIMIT = 20_000_000
"""Bytes above which a log is put aside at the next start; one older log is kept."""


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


class Child(Protocol):
    """What is needed of a child: subprocess.Popen has it."""

    pid: int

    def poll(self) -> int | None:
        """Return how it ended, or None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""


class Process:
    """One child process. A subclass says when it answers; one thread at a time calls it."""

    start_timeout = 60.0
    """Seconds to become ready: several times the slowest start seen on a loaded two-core machine."""
    stop_timeout = 20.0
    """Seconds for an orderly stop; then it is killed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        home: Path,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.command = list(command)
        self.env = dict(env)
        self.cwd = cwd
        self.pidfile = home / "run" / f"{name}.json"
        self._child: Child | None = None

    def answers(self) -> bool:
        """Whether it does its work now."""
        return self.running

    def start(self) -> None:
        """Start it, without waiting until it answers; raise LocalError if it runs already."""
        if self.running:
            raise LocalError(f"{self.name} runs already.")
        pidfile.clear(self.pidfile)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.rename(self.log.with_suffix(".log.1"))
        self._child = self.spawn()
        pidfile.write(self.pidfile, self._child.pid)

    def spawn(self) -> Child:
        """Start the process itself, which writes to the log, in a process group of its own."""
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C at the terminal reaches the runner alone, which then stops all in order.
            return subprocess.Popen(
                self.command, env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def wait_ready(self, timeout: float | None = None) -> None:
        """Return once it answers; raise LocalError, with the end of its log, if it dies or the seconds pass."""
        bound = self.start_timeout if timeout is None else timeout
        deadline = time.monotonic() + bound
        while not self.answers():
            if not self.running:
                raise LocalError(
                    f"{self.name} ended ({self.ending}) before it was ready; {self.log} ends:\n{tail(self.log)}"
                )
            if time.monotonic() > deadline:
                raise LocalError(f"{self.name} was not ready after {bound:.0f} s; {self.log} ends:\n{tail(self.log)}")
            time.sleep(POLL)

    def stop(self) -> None:
        """Stop it in order (SIGTERM), or kill it when it takes too long; nothing if it does not run."""
        if self._child is None:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self._child.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.pidfile.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL its whole process group and reap it."""
        if self._child is None:
            return
        self._signal(signal.SIGKILL)
        self._child.wait()
        self.pidfile.unlink(missing_ok=True)

    def terminate(self) -> None:
        """Send SIGTERM, and go on."""
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Halt it where it stands (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the process lives; a paused one does."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def ending(self) -> str:
        """How the last run ended, in words."""
        code = None if self._child is None else self._child.poll()
        if code is None:
            return "not ended"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _signal(self, number: signal.Signals) -> None:
        # Only while it is not reaped: until then nobody else can have its group's number.
        if self._child is not None and self._child.poll() is None:
            os.killpg(self._child.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
