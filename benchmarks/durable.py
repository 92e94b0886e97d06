"""Stored-and-delivered messages a second, and how long an ack takes: `./dev bench durable`.

100 rooms of 10 members; each message goes to all 10; texts of 200 characters; everything on this machine, the load
included. Bars: 1,500 messages a second at 500 in flight, a median ack within 12 ms at 1 in flight (two cores).
"""

import argparse
import os

import uvloop

from benchmarks.cpu import CpuMeter
from benchmarks.load import Load, Result
from benchmarks.warren import WarrenDialect, fill_rooms, pids, running_stack

ROOMS = 100
MEMBERS = 10
BAR_RATE = 1_500.0
BAR_ACK = 12.0
WARM_UP = 3.0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--persistence", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    options = parser.parse_args()
    uvloop.run(bench(options.gateways, options.persistence, options.seconds))


async def bench(gateways: int, persistence: int, seconds: float) -> None:
    """Measure Warren."""
    print(f"warren: {gateways} gateways, {persistence} persistence, {ROOMS} rooms x {MEMBERS} members", flush=True)
    async with running_stack(gateways, persistence) as stack:
        urls = [gateway.url.replace("http", "ws", 1) + "/v1/ws" for gateway in stack.gateways]
        rooms, tokens = await fill_rooms(stack.gateways[0].url, ROOMS, MEMBERS)
        load = Load(WarrenDialect(tokens), urls, rooms, MEMBERS)
        await load.connect()
        meter = CpuMeter({**pids(stack), "load": os.getpid()})
        slow = await load.run(1, 1.0, seconds / 2)
        print(f"    1 in flight {slow}", flush=True)
        middle = await load.run(50, 1.0, seconds / 2)
        print(f"   50 in flight {middle}", flush=True)
        meter.start()
        fast = await load.run(500, WARM_UP, seconds)
        used = meter.stop()
        print(f"  500 in flight {fast}", flush=True)
        load.close()
        report_cpu(used, fast, seconds + WARM_UP)
    verdict("rate at 500 in flight", fast.rate, ">=", BAR_RATE, "msg/s")
    verdict("median ack at 1 in flight", slow.quantile(slow.acks, 0.5), "<=", BAR_ACK, "ms")


def report_cpu(used: dict[str, float], result: Result, seconds: float) -> None:
    """Print CPU per message by process; the meter ran for `seconds`, warm-up included, at the measured rate."""
    messages = result.rate * seconds
    print("  CPU per message, in microseconds:")
    for name, spent in sorted(used.items()):
        print(f"    {name:16} {spent / messages * 1e6:8.0f}")
    print(f"    {'all':16} {sum(used.values()) / messages * 1e6:8.0f}")


def verdict(what: str, value: float, relation: str, bar: float, unit: str) -> None:
    """Print a figure beside its bar."""
    reached = value >= bar if relation == ">=" else value <= bar
    print(f"  {what}: {value:.1f} {unit} (bar {relation} {bar:g}): {'reached' if reached else 'NOT REACHED'}")


if __name__ == "__main__":
    main()
