"""How measurements are printed: each system's own, and Warren beside its peers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Result
from benchmarks.system import LOAD


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a system: at 1, 50 and 500 in flight, processor seconds a message by process at 500, and
    the share of the machine, 0 to 1, that went elsewhere all the while.
    """

    name: str
    slow: Result
    middle: Result
    fast: Result
    cpu: Mapping[str, float]
    others: float

    @property
    def served(self) -> float:
        """Processor microseconds a message of everything but the load."""
        return sum(spent for name, spent in self.cpu.items() if name != LOAD) * 1e6


ROWS: dict[str, Callable[[Figures], float]] = {
    "500 in flight: messages/s": lambda figures: figures.fast.rate,
    "50 in flight: messages/s": lambda figures: figures.middle.rate,
    "50 in flight: ack p50, ms": lambda figures: figures.middle.ack(0.5),
    "50 in flight: ack p99, ms": lambda figures: figures.middle.ack(0.99),
    "1 in flight: ack p50, ms": lambda figures: figures.slow.ack(0.5),
    "1 in flight: ack p99, ms": lambda figures: figures.slow.ack(0.99),
    "CPU a message (no load), us": lambda figures: figures.served,
}
RATE, MIDDLE_ACK, LONE_ACK, CPU = (
    "500 in flight: messages/s", "50 in flight: ack p50, ms", "1 in flight: ack p50, ms", "CPU a message (no load), us"
)  # fmt: skip
"""The rows that have bars."""
Medians = Mapping[str, float]
"""Of the runs of one system, by row."""


QUIET = 0.1
"""Share of the machine that others may take before figures of one run no longer compare."""


def report_cpu(figures: Figures) -> None:
    """Print CPU per message by process, and how quiet the machine was."""
    cpu = figures.cpu
    print("  CPU per message at 500 in flight, in microseconds:")
    for name, spent in sorted(cpu.items()):
        print(f"    {name:16} {spent * 1e6:8.0f}")
    print(f"    {'all':16} {sum(cpu.values()) * 1e6:8.0f}")
    print(f"  Of the machine, {figures.others:.0%} went to other processes meanwhile.", flush=True)


def medians(runs: Sequence[Figures]) -> Medians:
    """Return the medians of several runs of one system."""
    return {what: median(map(value, runs)) for what, value in ROWS.items()}


def compare(figures: Mapping[str, Sequence[Figures]], peers: Collection[str]) -> None:
    """Print the medians of all systems side by side, with the ratio to each peer for every one that is none."""
    if max(each.others for runs in figures.values() for each in runs) > QUIET:
        print("\nThe machine was not quiet: rates and latencies below compare badly; CPU a message does better.")
    found = {name: medians(runs) for name, runs in figures.items()}
    print(f"\nMedians of {min(map(len, figures.values()))}; in brackets the ratio to {', '.join(peers) or 'nobody'}")
    print(" " * 28 + "".join(f"{name:>26}" for name in found))
    for what in ROWS:
        cells = []
        for name, row in found.items():
            ratios = "" if name in peers else " ".join(f"{row[what] / found[peer][what]:.2f}" for peer in peers)
            cells.append(f"{row[what]:.1f}" + (f" ({ratios})" if ratios else ""))
        print(f"{what:28}" + "".join(f"{cell:>26}" for cell in cells))


def verdict(what: str, value: float, relation: str, bar: float, unit: str = "") -> None:
    """Print a figure beside its bar."""
    reached = value >= bar if relation == ">=" else value <= bar
    print(f"  {what}: {value:.2f} {unit} (bar {relation} {bar:g}): {'reached' if reached else 'NOT REACHED'}")
