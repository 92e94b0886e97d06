"""CPU seconds of processes, from the operating system's own accounting."""

from collections.abc import Mapping

import psutil


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a process, without its children."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


class CpuMeter:
    """Measures named processes from `start` to `stop`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before: dict[str, float] = {}

    def start(self) -> None:
        """Take the first reading."""
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def stop(self) -> dict[str, float]:
        """Return the CPU seconds that each process used since `start`."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
