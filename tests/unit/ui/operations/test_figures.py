"""The figures of the operations page and of the Grafana dashboard: all that services count, and no more."""

import itertools
import json
from types import ModuleType
from typing import Any

import pytest
import warren.bot.metrics
import warren.ops.health
import warren.ops.lag
import warren.supervise
import warren_gateway.metrics
import warren_persistence.metrics
import warren_presence.metrics
from prometheus_client.metrics import MetricWrapperBase
from warren_local.home import repository
from warren_ui.operations.charts import ago, chart, in_words, table
from warren_ui.operations.figures import METRICS, SECTIONS, Unit
from warren_ui.operations.grafana import dashboard

MODULES = (
    warren.bot.metrics, warren.ops.health, warren.ops.lag, warren.supervise,
    warren_gateway.metrics, warren_persistence.metrics, warren_presence.metrics,
)  # fmt: skip
DASHBOARD = repository() / "deploy" / "grafana" / "dashboards" / "warren.json"


def counted(module: ModuleType) -> set[str]:
    metrics = [one for one in vars(module).values() if isinstance(one, MetricWrapperBase)]
    families = [family for one in metrics for family in one.describe()]
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in families}


def test_all_that_services_count_is_drawn_and_nothing_else_of_warren() -> None:
    ours = set[str]().union(*map(counted, MODULES))
    assert {name for name in METRICS if name.startswith("warren_")} == ours
    assert {name.split("_")[0] for name in METRICS - ours} == {"process", "rabbitmq"}


def test_the_dashboard_that_is_checked_in_is_up_to_date() -> None:
    assert json.loads(DASHBOARD.read_text()) == dashboard(), "python -m warren_ui.operations.grafana > " + str(
        DASHBOARD
    )


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other() -> None:
    panels: list[dict[str, Any]] = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == list(SECTIONS)
    for one, other in itertools.combinations((panel["gridPos"] for panel in panels), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


def test_lines_of_a_figure_have_names_of_their_own() -> None:
    for figure in (figure for figures in SECTIONS.values() for figure in figures):
        names = [line.name or line.by for line in figure.lines]
        assert all(names), figure.title
        assert len(set(names)) == len(names), figure.title


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (0.0123, "seconds", "12.3 ms"), (2.5, "seconds", "2.5 s"), (1234.6, "per second", "1,235/s"), (0, "count", "0"),
        (0.05, "per second", "0.05/s"), (0.034, "share", "3%"), (86_600_000, "bytes", "86.6 MB"), (None, "count", "–"),
    ],
)  # fmt: skip
def test_values_are_said_with_their_unit(value: float | None, unit: Unit, wanted: str) -> None:
    assert in_words(value, unit) == wanted


def test_times_are_said() -> None:
    assert [ago(seconds) for seconds in (-1, 59, 60, 7_200, 200_000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]


def test_a_chart_has_gaps_where_nothing_was_measured_and_covers_the_whole_time() -> None:
    frame = table([100.0, 102.0], {"sent": [None, 4.0], "received": [1.0, 2.0]}, "per second", 900)
    seconds = [at.timestamp() for at in frame["at"]]
    assert seconds == [102 - 900, 100, 102, 100, 102]
    assert list(frame["line"]) == ["sent  4/s", "sent  4/s", "sent  4/s", "received  2/s", "received  2/s"]
    assert list(frame["value"].isna()) == [True, True, False, False, False]
    assert chart("per second") == chart("per second"), "Streamlit draws a chart anew whose specification changes"
