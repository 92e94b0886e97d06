"""The commands that run Warren: up, down, status, logs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from . import bots, pidfile, state, supervisor, table, topology
from .errors import LocalError
from .home import warren_home
from .ports import Ports
from .process import POLL
from .rabbitmq import RabbitMQ
from .service import responds

DOWN_TIMEOUT = 150.0
"""Seconds for `down`: six groups of processes stop one after another, each within its 20 s."""

LOG_LINES = 200
"""Lines of each log that `logs` begins with."""


def up(base: int, scale: Sequence[str], *, detach: bool) -> int:
    """Run everything until it is told to stop, or leave it running in the background."""
    home, ports, replicas = warren_home(), Ports(base), table.parse_scale(scale)
    if now := state.running(home):
        return _already_up(now, base, replicas if scale else None)
    supervisor.check(home, ports, replicas)
    if detach:
        return _up_detached(home, base, scale)
    asyncio.run(_supervise(home, ports, replicas))
    return 0


def _already_up(now: state.State, base: int, replicas: dict[str, int] | None) -> int:
    """Say where it runs, which is what was wanted; raise LocalError if something else was wanted."""
    runs = Counter(row.service for row in now.rows)
    if base != now.base or (now.ready and any(runs[service] != count for service, count in (replicas or {}).items())):
        raise LocalError(f"Warren runs already, otherwise (ports from {now.base}; ./dev status): ./dev down stops it.")
    print(f"Warren is up already (process {now.pid}; ./dev down stops it)." if now.ready else "Warren is starting.")
    for line in supervisor.addresses(warren_home(), now.rows):
        print(line)
    return 0


async def _supervise(home: Path, ports: Ports, replicas: dict[str, int]) -> None:
    await supervisor.Supervisor(home, ports, replicas).run()


def _up_detached(home: Path, base: int, scale: Sequence[str]) -> int:
    """Start a supervisor in the background, show what it says, and return when all is ready or it has given up."""
    log = home / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "warren_local", "up", "--port-base", str(base)]
    command += [word for wish in scale for word in ("--scale", wish)]
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    with log.open() as lines:
        # Unbounded here because everything the supervisor does until it is ready or ends is bounded there.
        try:
            while child.poll() is None and not _is_ready(home, child.pid):
                print(lines.read(), end="", flush=True)
                time.sleep(POLL)
        except KeyboardInterrupt:
            child.send_signal(signal.SIGTERM)
            child.wait(DOWN_TIMEOUT)
        print(lines.read(), end="", flush=True)
    return 0 if _is_ready(home, child.pid) else child.poll() or 1


def _is_ready(home: Path, pid: int) -> bool:
    now = state.running(home)
    return now is not None and now.pid == pid and now.ready


def down() -> int:
    """Stop what `up` runs, and whatever a killed one left behind."""
    home = warren_home()
    now = state.running(home)
    if now is not None:
        os.kill(now.pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT
        while pidfile.alive(now.pid, now.created):
            if time.monotonic() > deadline:
                raise LocalError(f"The supervisor (process {now.pid}) did not stop within {DOWN_TIMEOUT:.0f} s.")
            time.sleep(POLL)
    ended = pidfile.clear_all(home)
    state.forget(home)
    if ended:
        print(f"Ended what an earlier run left behind: {', '.join(ended)}.")
    print("Warren is stopped." if now or ended else "Nothing was running.")
    return 0


def status() -> int:
    """Print a table of what runs; 1 if nothing does."""
    now = state.running(warren_home())
    if now is None:
        print("Warren does not run; ./dev up starts it.")
        return 1
    line = "{:<12} {:<16} {:>7} {:>6} {:<6} {:>8} {:>9}"
    print(line.format("SERVICE", "REPLICA", "PID", "PORT", "READY", "RESTARTS", "UPTIME"))
    for row in now.rows:
        print(
            line.format(row.service, row.name, row.pid or "-", row.port or "-", _ready(row), row.restarts, _uptime(row))
        )
    return 0


def url(user: str) -> int:
    """Print where one of the broker's users connects, with its password."""
    now = state.running(warren_home())
    if now is None:
        raise LocalError("Warren does not run; ./dev up starts it.")
    if os.environ.get("WARREN_AMQP_URL"):
        raise LocalError("The broker is the one at WARREN_AMQP_URL; its users are not known here.")
    print(topology.url(warren_home(), Ports(now.base).amqp, user))
    return 0


def warren(arguments: Sequence[str]) -> int:
    """Become the operator's command, as operator of the broker that runs here, unless WARREN_AMQP_URL names another."""
    now = state.running(warren_home())
    if now is not None:
        os.environ.setdefault("WARREN_AMQP_URL", topology.url(warren_home(), Ports(now.base).amqp))
    os.execv(sys.executable, [sys.executable, "-m", "warren.broker", *arguments])  # noqa: S606 - its exit code becomes ours


def bot(name: str, rooms: Sequence[str], *, remove: bool = False) -> int:
    """Make a bot's queues and login, and print where it connects, with its password; or take them away."""
    now = state.running(warren_home())
    if now is None:
        raise LocalError("Warren does not run; ./dev up starts it.")
    if os.environ.get("WARREN_AMQP_URL"):
        raise LocalError("The broker is the one at WARREN_AMQP_URL: its operator gives bots their logins (warren bot).")
    node = RabbitMQ(warren_home(), Ports(now.base).amqp)
    print(bots.remove(node, name) if remove else bots.give(warren_home(), node, name, rooms))
    return 0


def _ready(row: state.Row) -> str:
    if not row.started:
        return "no"
    if row.health and row.port:
        return "yes" if responds(row.port, row.health) else "no"
    return "yes" if row.pid is None or psutil.pid_exists(row.pid) else "no"


def _uptime(row: state.Row) -> str:
    minutes, seconds = divmod(int(time.time() - row.started) if row.started else 0, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def logs(service: str | None, *, follow: bool) -> int:
    """Show the end of the logs, of all or of a service (`gateway`) or a replica (`gateway-1`)."""
    found = sorted((warren_home() / "logs").glob(f"{service}.log" if service else "*.log"))
    found = found or sorted((warren_home() / "logs").glob(f"{service}-*.log"))
    if not found:
        raise LocalError(f"There are no logs of {service or 'anything'} in {warren_home() / 'logs'}.")
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", str(LOG_LINES), *(["-F"] if follow else []), *map(str, found)])  # noqa: S606 - its exit code and signals become ours
