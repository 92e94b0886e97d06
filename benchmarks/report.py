"""How measurements are printed: each system's own, and Warren beside its peers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
    "1 in flight: ack p50, ms": lambda figures: figures.slow.ack(0.5),
    "1 in flight: ack p99, ms": lambda figures: figures.slow.ack(0.99),
    "50 in flight: ack p50, ms": lambda figures: figures.middle.ack(0.5),
    "50 in flight: ack p99, ms": lambda figures: figures.middle.ack(0.99),
    "CPU a message (no load), us": lambda figures: figures.served,
}


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


def compare(figures: Sequence[Figures]) -> None:
    """Print the first system beside the others, with the ratio first/other for each."""
    first, *others = figures
    if not others:
        return
    if max(each.others for each in figures) > QUIET:
        print("\nThe machine was not quiet: rates and latencies below compare badly; CPU a message does better.")
    print("\nWarren/peer: above 1 Warren is faster in the first row; below 1 it is quicker or thriftier in the others.")
    print(" " * 28 + f"{first.name:>10}" + "".join(f"{other.name:>18}{'ratio':>7}" for other in others))
    for what, value in ROWS.items():
        cells = (f"{value(other):18.1f}{value(first) / value(other):7.2f}" for other in others)
        print(f"{what:28}{value(first):10.1f}{''.join(cells)}")


def verdict(what: str, value: float, relation: str, bar: float, unit: str) -> None:
    """Print a figure beside its bar."""
    reached = value >= bar if relation == ">=" else value <= bar
    print(f"  warren, {what}: {value:.1f} {unit} (bar {relation} {bar:g}): {'reached' if reached else 'NOT REACHED'}")
