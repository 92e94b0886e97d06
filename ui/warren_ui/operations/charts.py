"""Draws a figure: the data and the Vega-Lite specification of its chart, and values in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from warren_ui.operations.figures import Unit

_PLOT, _ROW, _IN_A_ROW = 170, 20, 2
"""Pixels of a chart without its legend, and of a row of that; names in a row."""
_LEAST: dict[Unit, float] = {"count": 1, "per second": 1, "seconds": 0.01, "bytes": 1e6, "share": 0.1}
"""What the axis goes up to at least: what hardly moves looks as if it hardly moved."""
_AXIS: dict[Unit, str] = {
    "count": "format(datum.value, datum.value < 1e4 ? ',~g' : '~s')",
    "per second": "format(datum.value, datum.value < 1e4 ? ',~g' : '~s') + '/s'",
    "seconds": "datum.value < 1 ? format(datum.value * 1000, '~g') + ' ms' : format(datum.value, '~g') + ' s'",
    "bytes": "format(datum.value / 1e6, '~g') + ' MB'",
    "share": "format(datum.value, '~%')",
}


def in_words(value: float | None, unit: Unit) -> str:
    """Return a value in words, with its unit."""
    if value is None:
        return "–"
    match unit:
        case "seconds":
            return f"{_short(value * 1000)} ms" if value < 1 else f"{_short(value)} s"
        case "bytes":
            return f"{_short(value / 1e6)} MB"
        case "share":
            return f"{value:.0%}"
        case "per second":
            return f"{_short(value)}/s"
        case "count":
            return _short(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def ago(seconds: float) -> str:
    """Return a length of time in words."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def table(times: Sequence[float], lines: Mapping[str, Sequence[float | None]], unit: Unit, span: float) -> pd.DataFrame:
    """Return a chart's data: a row for each value of each line, whose legend says the last, and its place in that.

    The first row has no value: the axis covers the same `span` of seconds always.
    """
    names = {name: f"{name}  {in_words(values[-1], unit)}" for name, values in lines.items()}
    first = pd.DataFrame({"at": [times[-1] - span], "line": list(names.values())[:1], "value": [None], "place": [0]})
    rest = (
        pd.DataFrame({"at": times, "line": names[name], "value": values, "place": place})
        for place, (name, values) in enumerate(lines.items())
    )
    frame = pd.concat([first, *rest], ignore_index=True).astype({"value": "float64"})
    frame["at"] = pd.to_datetime(frame["at"], unit="s", utc=True)
    return frame


def height(lines: int) -> int:
    """Return how many pixels a chart takes, which has a legend."""
    return _PLOT + _ROW * -(-lines // _IN_A_ROW)


def chart(unit: Unit) -> dict[str, Any]:
    """Return the specification of a figure's chart; where nothing was measured a line has a gap."""
    axis = {"title": None, "labelExpr": _AXIS[unit], "tickCount": 3, "tickMinStep": 1 if unit == "count" else 0}
    value = {"field": "value", "type": "quantitative", "axis": axis}
    at = {"field": "at", "type": "temporal"}
    legend = {"title": None, "orient": "bottom", "columns": _IN_A_ROW, "labelLimit": 300}
    line = {
        "mark": {"type": "line", "strokeWidth": 1.8},
        "encoding": {
            "x": {**at, "axis": {"title": None, "format": "%H:%M", "tickCount": 4, "grid": False}},
            "y": {**value, "scale": {"domainMin": 0}},
            # Not by appearance: what has become old goes from the data, and its colour would go to another line.
            "color": {"field": "line", "type": "nominal", "sort": {"field": "place", "op": "min"}, "legend": legend},
            "tooltip": [{**at, "format": "%H:%M:%S", "title": "at"}, {"field": "line", "title": "line, and now"},
                        {"field": "value", "type": "quantitative", "format": ".3~g", "title": "value"}],
        },
    }  # fmt: skip
    least = {"mark": {"type": "point", "opacity": 0}, "encoding": {"y": {"datum": _LEAST[unit]}}}
    return {"layer": [line, least]}
