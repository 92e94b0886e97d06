"""`python -m warren_ui.operations.grafana`: the dashboard, as JSON, from the same figures that the page draws."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from warren_ui.operations.figures import CPU, MEMORY, SECTIONS, UP, Figure, Line, Unit

UNITS: dict[Unit, str] = {
    "count": "short", "per second": "cps", "seconds": "s", "bytes": "bytes", "share": "percentunit",
}  # fmt: skip
WIDTH, HEIGHT, COLUMNS = 8, 8, 3
"""Of a panel, in Grafana's 24 columns, and how many stand side by side."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OURS = dict.fromkeys((UP, CPU, MEMORY), '{job=~"gateway|persistence|presence|bot"}')
"""What Prometheus knows of others, too."""


def query(line: Line) -> str:
    """Return a line in PromQL."""
    total = f"sum by ({line.by})" if line.by else "sum"
    match line.kind:
        case "gauge":
            return f"{total}({line.metric}{_only(line)})"
        case "counter":
            return f"{total}(rate({line.metric}{_only(line)}[$__rate_interval]))"
        case "histogram":
            rate = f"rate({line.metric}_bucket{_only(line)}[$__rate_interval])"
            return f"histogram_quantile({line.at}, sum by (le)({rate}))"


def _only(line: Line) -> str:
    if line.only is None:
        return _OURS.get(line.metric, "")
    label, wanted = line.only
    return f"{{{label}=~{json.dumps(wanted)}}}"


def dashboard() -> dict[str, Any]:
    """Return Grafana's model of the dashboard."""
    return {
        "uid": "warren",
        "title": "Warren",
        "tags": ["warren"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(_panels(), 1)],
    }


def _panels() -> Iterator[dict[str, Any]]:
    top = 0
    for section, figures in SECTIONS.items():
        yield {"type": "row", "title": section, "gridPos": {"x": 0, "y": top, "w": WIDTH * COLUMNS, "h": 1}}
        top += 1
        for number, figure in enumerate(figures):
            row, column = divmod(number, COLUMNS)
            yield _panel(figure, column * WIDTH, top + row * HEIGHT)
        top += -(-len(figures) // COLUMNS) * HEIGHT


def _panel(figure: Figure, x: int, y: int) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": figure.title,
        "description": figure.about,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": UNITS[figure.unit], "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query(line),
                "legendFormat": f"{{{{{line.by}}}}}" if line.by else line.name,
            }
            for number, line in enumerate(figure.lines)
        ],
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=2)
    print()
