"""Stored-and-delivered messages a second, and how long an ack takes: `./dev bench durable`, Warren beside its peers.

100 rooms of 10 members; each message goes to all 10; texts of 200 characters; everything on this machine, the load
included. All run one after the other in the same run, under the same load: figures of other runs or machines compare
badly.
"""

import argparse
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

import uvloop
from warren_local.errors import LocalError
from warren_local.home import warren_home

from benchmarks.cpu import CpuMeter
from benchmarks.peers.npm import install
from benchmarks.peers.running import running_node, running_python
from benchmarks.report import CPU, LONE_ACK, MIDDLE_ACK, RATE, Figures, Medians, compare, medians, report_cpu, verdict
from benchmarks.system import System
from benchmarks.warren import running_warren

ROOMS = 100
MEMBERS = 10
BAR_RATE = {"warren 1+1": 2.5, "warren 2+2": 1.8}
"""Times socket.io's, at 500 in flight."""
BAR_ACK = 2.5
"""Milliseconds, at 1 in flight."""
BAR_MIDDLE_ACK = 1.0
"""Times socket.io's, at 50 in flight."""
BAR_CPU = 350.0
"""Microseconds of all processes but the load."""
WARM_UP = 3.0
PEERS = {
    "node": System(
        "socket.io",
        "one Node.js process, MongoDB",
        "insert with majority, then emit, then ack. One process and no way to add one without an adapter. No stored "
        "order, none across processes; a repeated send is stored and shown twice; what a client misses while it is "
        "away is not resumed; rooms are in memory; anybody joins and says anything anywhere.",
        partial(running_node, ROOMS, MEMBERS),
    ),
    "python": System(
        "python-socketio",
        "one uvicorn process, RabbitMQ, MongoDB",
        "the same handler; each emit is published to RabbitMQ too, for further processes, of which there are none "
        "here. Those would be told without an order of their own and could miss emits while RabbitMQ is away; "
        "otherwise what holds for socket.io holds here.",
        partial(running_python, ROOMS, MEMBERS),
    ),
}


def main() -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--warren",
        metavar="GATEWAYS+WRITERS",
        default="1+1,2+2,2+1",
        help="comma list of replicas; or none (%(default)s)",
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="comma list; or none (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement (%(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="of each, one after the other; medians are taken")
    options = parser.parse_args()
    shapes, peers = listed(options.warren), listed(options.peers)
    if unknown := set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    systems = [*(warren(*map(int, shape.split("+"))) for shape in shapes), *(PEERS[name] for name in peers)]
    try:
        if "node" in peers:
            install(warren_home() / "bench")  # before anything is measured: it may fail, and it takes the processor
        figures = uvloop.run(bench(systems, options.seconds, options.runs))
    except (LocalError, AssertionError) as error:  # what to install; what went wrong under load
        print(f"bench: {error}", file=sys.stderr)
        return 1
    compare(figures, [PEERS[name].name for name in peers])
    judge({name: medians(runs) for name, runs in figures.items()})
    return 0


def listed(text: str) -> list[str]:
    """Return the parts of a comma list."""
    return [] if text == "none" else text.split(",")


def warren(gateways: int, writers: int) -> System:
    """Return Warren with so many replicas."""
    return System(
        f"warren {gateways}+{writers}",
        "gateways and writers, RabbitMQ, MongoDB",
        "stores with majority, then acks and delivers. One order a room for everybody on every gateway, stored as "
        "shown; a repeated send is one message; whoever was away resumes; members alone read and write; any process "
        "may be killed.",
        partial(running_warren, gateways, writers, ROOMS, MEMBERS),
    )


def judge(found: Mapping[str, Medians]) -> None:
    """Print what there is beside its bar."""
    node = found.get(PEERS["node"].name)
    for name, bar in BAR_RATE.items():
        if node is not None and name in found:
            verdict(f"{name}, 500 in flight, rate against socket.io's", found[name][RATE] / node[RATE], ">=", bar)
    if (one := found.get("warren 1+1")) is not None:
        verdict("warren 1+1, 1 in flight, median ack", one[LONE_ACK], "<=", BAR_ACK, "ms")
        if node is not None:
            ratio = one[MIDDLE_ACK] / node[MIDDLE_ACK]
            verdict("warren 1+1, 50 in flight, median ack against socket.io's", ratio, "<=", BAR_MIDDLE_ACK)
    if (two := found.get("warren 2+1")) is not None:
        verdict("warren 2+1, CPU a message without the load", two[CPU], "<=", BAR_CPU, "us")


async def bench(systems: Sequence[System], seconds: float, runs: int) -> dict[str, list[Figures]]:
    """Measure the systems one after the other, and all of them again for each further run."""
    figures: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for _ in range(runs):
        for system in systems:
            figures[system.name].append(await measure(system, seconds))
    return figures


async def measure(system: System, seconds: float) -> Figures:
    """Measure one system at 1, 50 and 500 in flight, and what processor time it takes at 500."""
    print(f"\n{system.name}: {system.parts}; {ROOMS} rooms x {MEMBERS} members")
    print(textwrap.fill(system.does, 110, initial_indent="  ", subsequent_indent="  "), flush=True)
    async with system.start() as running:
        load, meter, whole = running.load, CpuMeter(running.pids), CpuMeter(running.pids)
        whole.start()
        slow = await load.run(1, 1.0, seconds / 2)
        print(f"    1 in flight {slow}", flush=True)
        middle = await load.run(50, 1.0, seconds / 2)
        print(f"   50 in flight {middle}", flush=True)
        sent = load.sent
        meter.start()
        fast = await load.run(500, WARM_UP, seconds)
        used = meter.stop()
        print(f"  500 in flight {fast}", flush=True)
        whole.stop()
        cpu = {name: spent / (load.sent - sent) for name, spent in used.items()}
    figures = Figures(system.name, slow, middle, fast, cpu, whole.others)
    report_cpu(figures)
    return figures


if __name__ == "__main__":
    sys.exit(main())
