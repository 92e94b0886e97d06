"""Figures with a column for each transport."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.readers import TRANSPORTS


@dataclass(slots=True)
class Table:
    """What was measured of each transport, by row."""

    title: str
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def put(self, row: str, transport: str, figure: str) -> None:
        """Take note of a figure."""
        self.rows.setdefault(row, {})[transport] = figure

    def show(self) -> None:
        """Print it."""
        print(f"\n{self.title}\n{'':40}" + "".join(f"{name:>16}" for name in TRANSPORTS))
        for row, figures in self.rows.items():
            print(f"  {row:38}" + "".join(f"{figures.get(name, '-'):>16}" for name in TRANSPORTS), flush=True)


def quantiles(took: Sequence[float]) -> str:
    """Return the median and the 99th percentile of milliseconds."""
    ranked = sorted(took)
    return " / ".join(f"{ranked[min(len(ranked) - 1, int(share * len(ranked)))]:.1f}" for share in (0.5, 0.99))
