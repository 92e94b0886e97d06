"""What a message costs as things grow: `./dev bench growth`. Nothing may grow with history.

Each dimension by itself: rooms, members of a room, history, idle connections, gateways, writers. Results are kept in
.warren/bench/growth.json, those of parts (`--only history`) put to those of earlier ones, and drawn for
docs/performance.md.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import uvloop
from warren_local.home import repository, warren_home

from benchmarks import dimensions
from benchmarks.chart import Panel, draw
from benchmarks.dimensions import Dimension, Row
from benchmarks.history import history
from benchmarks.report import QUIET, verdict

BAR_READ = 5.0
"""Milliseconds of a page of 50 out of a room of 10^6, and of a join."""
CPU = {"gateways": "gateways", "writers": "persistence", "rabbitmq": "RabbitMQ", "mongodb": "MongoDB"}
ACK = {"ack": "ack"}
AT_REST = {f"rest_{name}": label for name, label in {**CPU, "presence": "presence"}.items()}


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel: its title, its lines by the rows' names of what they show."""

    title: str
    lines: Mapping[str, str]
    log: bool = False


CPU_A_MESSAGE = Chart("CPU a message, µs", CPU)
ACK_P50 = Chart("median ack, ms", ACK)
REST = Chart("CPU at rest, % of a core", AT_REST)


@dataclass(frozen=True, slots=True)
class Part:
    """A dimension: at which sizes it is measured, and what is shown of it."""

    measure: Dimension
    sizes: Sequence[int]
    x: str
    charts: Sequence[Chart] = (CPU_A_MESSAGE, ACK_P50)


PARTS = {
    "rooms": Part(dimensions.rooms, (10, 100, 1_000, 10_000), "rooms", (CPU_A_MESSAGE, ACK_P50, REST)),
    "members": Part(
        dimensions.members,
        (2, 50, 500, 5_000),
        "members of the room, all of them reading along",
        (
            Chart("CPU a message, µs", CPU, log=True),
            Chart("CPU a delivery, µs", {"delivery": "all processes"}, log=True),
            ACK_P50,
        ),
    ),
    "history": Part(
        history,
        (1_000, 100_000, 1_000_000, 10_000_000),
        "events in the log",
        (
            CPU_A_MESSAGE,
            Chart("median, ms", {**ACK, "newest": "newest page", "middle": "page amid", "join": "join"}),
            Chart(
                "CPU of all processes, µs", {"newest_cpu": "newest page", "middle_cpu": "page amid", "join_cpu": "join"}
            ),
        ),
    ),
    "connections": Part(
        dimensions.connections, (10, 100, 1_000, 10_000), "idle connections", (CPU_A_MESSAGE, ACK_P50, REST)
    ),
    "gateways": Part(dimensions.gateways, (1, 2, 4), "gateways, with one writer"),
    "writers": Part(dimensions.writers, (1, 2, 4), "writers, with one gateway"),
}
RESULTS = warren_home() / "bench" / "growth.json"
IMAGES = repository() / "docs" / "images"


def main() -> None:
    """Measure what was asked for, and draw all that is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure these dimensions alone")
    parser.add_argument("--redraw", action="store_true", help="measure nothing, draw what was measured before")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measurement")
    parser.add_argument("--largest", type=float, default=float("inf"), help="measure no larger sizes than this")
    options = parser.parse_args()
    for name in () if options.redraw else options.only:
        part = PARTS[name]
        sizes = [size for size in part.sizes if size <= options.largest]
        keep(name, uvloop.run(run(name, part, sizes, options.seconds)))
    redraw()


async def run(name: str, part: Part, sizes: Sequence[int], seconds: float) -> list[Row]:
    """Measure one dimension."""
    print(f"\n{name}", flush=True)
    began, rows = time.monotonic(), []
    async for row in part.measure(sizes, seconds):
        rows.append(row)
        show(part, row)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    if max(row["elsewhere"] for row in rows) > QUIET:
        print("  The machine was not quiet.")
    for row in rows if name == "history" else ():
        if row["x"] == 1_000_000:
            for what in ("newest", "middle", "join"):
                verdict(f"{what} at 10^6 events", row[what], "<=", BAR_READ, "ms")
    return rows


def show(part: Part, row: Row) -> None:
    """Print what the charts show of one size."""
    print(f"  {part.x}: {row['x']:,.0f}")
    for chart in part.charts:
        figures = "   ".join(f"{label} {row[key]:.1f}" for key, label in chart.lines.items())
        print(f"    {chart.title:28}{figures}", flush=True)


def keep(name: str, rows: Sequence[Row]) -> None:
    """Put results to those of earlier runs."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, name: rows}, indent=1))


def redraw() -> None:
    """Draw what is known."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, rows in known.items():
        path = IMAGES / f"growth-{name}.svg"
        path.write_text(draw([_panel(chart, PARTS[name].x, rows) for chart in PARTS[name].charts]))
        print(f"drawn: {path}")


def _panel(chart: Chart, x: str, rows: Sequence[Row]) -> Panel:
    lines = {label: [(row["x"], row[key]) for row in rows if key in row] for key, label in chart.lines.items()}
    return Panel(chart.title, x, lines, chart.log)


if __name__ == "__main__":
    main()
