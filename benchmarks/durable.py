"""Stored-and-delivered messages a second, and how long an ack takes: `./dev bench durable`, Warren beside its peers.

100 rooms of 10 members; each message goes to all 10; texts of 200 characters; everything on this machine, the load
included. Bars: 1,500 messages a second at 500 in flight, a median ack within 12 ms at 1 in flight (two cores).
The peers run one after the other in the same run, under the same load: figures of other runs or machines compare badly.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from functools import partial

import uvloop
from warren_local.errors import LocalError
from warren_local.home import warren_home

from benchmarks.cpu import CpuMeter
from benchmarks.peers.npm import install
from benchmarks.peers.running import running_node, running_python
from benchmarks.report import Figures, compare, report_cpu, verdict
from benchmarks.system import System
from benchmarks.warren import running_warren

ROOMS = 100
MEMBERS = 10
BAR_RATE = 1_500.0
BAR_ACK = 12.0
WARM_UP = 3.0
WARREN = "warren"
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
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--persistence", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma list of node, python; or none (node,python)")
    parser.add_argument("--only", choices=[WARREN, *PEERS], help="measure this one alone")
    options = parser.parse_args()
    peers = [] if options.peers == "none" else options.peers.split(",")
    if unknown := set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    names = [options.only] if options.only else [WARREN, *peers]
    known = {**PEERS, WARREN: warren(options.gateways, options.persistence)}
    try:
        if "node" in names:
            install(warren_home() / "bench")  # before anything is measured: it may fail, and it takes the processor
        figures = uvloop.run(bench([known[name] for name in names], options.seconds))
    except (LocalError, AssertionError) as error:  # what to install; what went wrong under load
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if WARREN in names:
        verdict("rate at 500 in flight", figures[0].fast.rate, ">=", BAR_RATE, "msg/s")
        verdict("median ack at 1 in flight", figures[0].slow.ack(0.5), "<=", BAR_ACK, "ms")
        compare(figures)
    return 0


def warren(gateways: int, persistence: int) -> System:
    """Return Warren with so many replicas."""
    return System(
        WARREN,
        f"{gateways} gateways, {persistence} persistence, RabbitMQ, MongoDB",
        "stores with majority, then acks and delivers. One order a room for everybody on every gateway, stored as "
        "shown; a repeated send is one message; whoever was away resumes; members alone read and write; any process "
        "may be killed.",
        partial(running_warren, gateways, persistence, ROOMS, MEMBERS),
    )


async def bench(systems: Sequence[System], seconds: float) -> list[Figures]:
    """Measure the systems one after the other."""
    return [await measure(system, seconds) for system in systems]


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
