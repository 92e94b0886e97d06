"""CPU seconds of processes, from the operating system's own accounting."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a process, without its children."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3): in nanoseconds, and not in hundredths
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def loop_seconds(pid: int) -> float:
    """Return the CPU seconds of a process's first thread, which runs the event loop.

    Linux counts those in nanoseconds, where it counts a process's in hundredths of a second.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return cpu_seconds(pid)


def busy_seconds() -> float:
    """Return the CPU seconds that all cores together were not idle since the machine started."""
    times = psutil.cpu_times()
    # On Linux guests' time is part of user time already; the names are absent elsewhere.
    idle = times.idle + getattr(times, "iowait", 0.0)
    return float(sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


class CpuMeter:
    """Measures named processes from `start` to `stop`, and how much of the machine everything else took."""

    def __init__(self, pids: Mapping[str, int], measure: Callable[[int], float] = cpu_seconds) -> None:
        self._pids = pids
        self._measure = measure
        self._before: dict[str, float] = {}
        self._began = self._busy = 0.0
        self.others = 0.0
        """Share of the machine, 0 to 1, that went to processes not measured, and to the kernel beside them."""

    def start(self) -> None:
        """Take the first reading."""
        self._began, self._busy = time.monotonic(), busy_seconds()
        self._before = {name: self._measure(pid) for name, pid in self._pids.items()}

    def stop(self) -> dict[str, float]:
        """Return the CPU seconds that each process used since `start`."""
        used = {name: self._measure(pid) - self._before[name] for name, pid in self._pids.items()}
        available = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        self.others = max(0.0, busy_seconds() - self._busy - sum(used.values())) / available
        return used
