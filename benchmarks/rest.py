"""What `./dev up` takes while nobody does anything: `./dev bench rest`.

Starts it, on ports and with a state of its own, waits until the start is over, and prints the share of one core that
each of its processes takes, all threads together. The two servers are not Warren's, and stand apart.
"""

import argparse
import os
import subprocess
import time
from pathlib import Path

from warren_local import state
from warren_local.home import repository, warren_home

from benchmarks.cpu import CpuMeter
from benchmarks.warren import BASE_PORT

SETTLE = 30.0
"""Seconds after the start in which caches fill, and queues and connections get over it."""
SERVERS = frozenset({"rabbitmq", "mongodb"})
BAR, STRETCH = 0.03, 0.01
"""Of a core, for all processes but the servers: what is to be reached, and what would be good."""


def main() -> int:
    """Run and print; 1 if it is more than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="for which it is measured")
    options = parser.parse_args()
    home = warren_home() / "bench" / "rest"
    env = {**os.environ, "WARREN_HOME": str(home)}
    subprocess.run(["./dev", "up", "--detach", "--port-base", str(BASE_PORT)], cwd=repository(), env=env, check=True)
    try:
        return measure(home, options.seconds)
    finally:
        subprocess.run(["./dev", "down"], cwd=repository(), env=env, check=True)


def measure(home: Path, seconds: float) -> int:
    """Measure what runs there."""
    now = state.running(home)
    if now is None:
        raise RuntimeError("Warren has ended")
    servers = {row.name for row in now.rows if row.service in SERVERS}
    pids = {row.name: row.pid for row in now.rows if row.pid is not None} | {"./dev up": now.pid}
    time.sleep(SETTLE)
    meter = CpuMeter(pids, process_seconds)
    meter.start()
    time.sleep(seconds)
    used = {name: took / seconds for name, took in meter.stop().items()}
    for name, share in sorted(used.items(), key=lambda one: one[1], reverse=True):
        print(f"  {name:24}{share:8.2%}{'  (server)' if name in servers else ''}")
    total = sum(share for name, share in used.items() if name not in servers)
    print(f"  {'all but the servers':24}{total:8.2%}  (bar {BAR:.0%}, stretch {STRETCH:.0%})")
    print(f"  {'the rest of the machine':24}{meter.others:8.2%}")
    return int(total > BAR)


def process_seconds(pid: int) -> float:
    """Return the CPU seconds of a process's threads that are there: in nanoseconds, where psutil has hundredths."""
    files = (task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


if __name__ == "__main__":
    raise SystemExit(main())
