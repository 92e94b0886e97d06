"""The Streamlit script of the operations page."""

import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from warren_ui.operations.charts import ago, chart, height, in_words, table
from warren_ui.operations.figures import SECTIONS, Figure
from warren_ui.operations.watch import EVERY, KEPT, MOST_LINES, MOST_REPLICAS, ReplicaStatus, State, Watch, watch

_STYLES = Path(__file__).parents[1] / "styles"
# In seconds: what is shown, and after how long it is not live any more. (Streamlit would draw docstrings here.)
_SPAN = KEPT * EVERY
_OLD = 5 * EVERY
_COLUMNS = 3
_MOST_NAMED = 10


def _line(status: ReplicaStatus, now: float) -> str:
    how = f"{status.state} ({status.why})" if status.why else status.state
    return f"**{status.replica.name}**: {how} for {ago(now - status.since)}"


def _named(statuses: list[ReplicaStatus], *states: State) -> str:
    """Return a list of those that are so, the worst first."""
    now = time.time()
    found = [_line(one, now) for state in states for one in statuses if one.state == state]
    more = [f"and {len(found) - _MOST_NAMED} more, in the table under *Replicas*"] if len(found) > _MOST_NAMED else []
    return "\n".join(f"- {one}" for one in found[:_MOST_NAMED] + more)


def _clock(at: float) -> str:
    """Return the time of day where the visitor is."""
    try:
        zone: tzinfo = ZoneInfo(st.context.timezone or "UTC")
    except (ValueError, ZoneInfoNotFoundError):
        zone = UTC
    return f"{datetime.fromtimestamp(at, zone):%H:%M:%S}"


def _headline(watching: Watch) -> None:
    """Say first what is wrong."""
    looked, statuses = watching.scraped_at, watching.statuses()
    st.markdown("#### Warren operations" + (f" :small[:gray[at {_clock(looked)}]]" if looked else ""))
    if looked is None:
        st.info("Looking at the replicas …", icon=":material/hourglass_top:")
        return
    if (age := time.time() - looked) > _OLD:
        st.error(
            f"What is shown here is {ago(age)} old: this page's server is behind.", icon=":material/update_disabled:"
        )
    if wrong := _named(statuses, "no answer", "not ready"):
        st.error(wrong, icon=":material/error:")
    else:
        there = [one.state for one in statuses if one.state != "gone"]
        words = f"{there.count('ready')} of {len(there)} replicas answer and are ready."
        st.success(words, icon=":material/check_circle:")
    if passing := _named(statuses, "leaving", "gone"):
        st.warning(passing, icon=":material/logout:")
    if watching.left_out:
        st.warning(f"{watching.left_out} replicas beyond the first {MOST_REPLICAS} are not looked at.")


def _replicas(statuses: list[ReplicaStatus]) -> None:
    now = time.time()
    st.dataframe(
        [
            {
                "service": one.replica.service,
                "address": one.replica.url,
                "state": f"{one.state}: {one.why}" if one.why else one.state,
                "for": ago(now - one.since),
                "running for": ago(now - one.started) if one.started else "–",
                "CPU": in_words(one.cpu, "share"),
                "memory": in_words(one.memory, "bytes"),
            }
            for one in statuses
        ],
        hide_index=True,
    )


def _figure(watching: Watch, figure: Figure) -> None:
    times, lines = watching.lines(figure)
    st.markdown(f"**{figure.title}**", help=figure.about or None)
    if lines:
        data = table(times, lines, figure.unit, _SPAN)
        st.vega_lite_chart(data, chart(figure.unit), height=height(len(lines)), alt=figure.title)
        if len(lines) == MOST_LINES:
            st.caption(f"No more than {MOST_LINES} lines are drawn.")
    elif not watching.has(figure):
        st.caption("None of the replicas that answer counts this.")
    elif len(times) < 2:
        st.caption("The first figures come in a few seconds.")
    else:
        st.caption(f"Nothing in the last {ago(_SPAN)}.")


def _section(watching: Watch, name: str) -> None:
    if not any(map(watching.has, SECTIONS[name])):
        st.info(f"{name}: none of the replicas that answer counts any of this. WARREN_TARGETS says who is looked at.")
        return
    figures = list(SECTIONS[name])
    for first in range(0, len(figures), _COLUMNS):
        for column, figure in zip(st.columns(_COLUMNS), figures[first : first + _COLUMNS], strict=False):
            with column:
                _figure(watching, figure)


@st.fragment(run_every=EVERY)
def _live() -> None:
    watching = watch()
    watching.visit()
    _headline(watching)
    names = list(SECTIONS)
    chosen = st.segmented_control(
        "Section", names, default=names[0], required=True, key="section", label_visibility="collapsed"
    )
    if chosen == "Replicas":
        _replicas(watching.statuses())
    _section(watching, chosen)


def main() -> None:
    """Draw it, and again every few seconds."""
    st.set_page_config(page_title="Warren operations", page_icon=_STYLES / "icon.svg", layout="wide")
    st.html(_STYLES / "operations.css")
    with st.container(key="live"):
        _live()


if __name__ == "__main__":
    main()
