"""What the operations page makes of what replicas count: the same as Prometheus would."""

import math

import pytest
from warren_ui.operations.figures import Line
from warren_ui.operations.rates import Pair, quantile, values
from warren_ui.operations.scrape import Samples

SENT = Line("sent_total", "counter", "sent")
BY_CODE = Line("closed_total", "counter", by="code")
HALF = Line("seconds", "histogram", "half", at=0.5)


def counted(**values: float) -> Samples:
    return {(name, ()): value for name, value in values.items()}


def coded(**values: float) -> Samples:
    return {("closed_total", (("code", code),)): value for code, value in values.items()}


def buckets(**values: float) -> Samples:
    return {("seconds_bucket", (("le", le.removeprefix("le").replace("_", ".")),)): n for le, n in values.items()}


def test_growth_in_a_second_is_summed_over_the_replicas() -> None:
    pairs = [
        Pair("gateway", 10, counted(sent_total=100), counted(sent_total=150)),
        Pair("gateway", 5, counted(sent_total=0), counted(sent_total=10)),
    ]
    assert values(SENT, pairs) == {"sent": 7}


def test_a_counter_that_began_anew_has_grown_by_what_it_says() -> None:
    assert values(SENT, [Pair("gateway", 10, counted(sent_total=1_000), counted(sent_total=30))]) == {"sent": 3}


def test_what_is_counted_for_the_first_time_grew_from_nothing() -> None:
    assert values(BY_CODE, [Pair("gateway", 10, coded(), coded(c4008=20))]) == {"c4008": 2}


def test_a_line_for_each_value_of_a_label() -> None:
    pairs = [
        Pair("gateway", 1, coded(c1=1, c2=1), coded(c1=2, c2=1)),
        Pair("gateway", 1, coded(c1=0), coded(c1=3)),
    ]
    assert values(BY_CODE, pairs) == {"c1": 4, "c2": 0}


def test_where_nobody_counts_there_is_no_value() -> None:
    assert values(SENT, []) == {}
    assert values(SENT, [Pair("gateway", 1, counted(other=1), counted(other=2))]) == {}


def test_gauges_by_service() -> None:
    line = Line("connections", "gauge", by="job")
    services = {"a": [3.0, 4.0], "b": [5.0]}
    pairs = [Pair(job, 9, {}, counted(connections=n)) for job, found in services.items() for n in found]
    assert values(line, pairs) == {"a": 7, "b": 5}


def test_a_pattern_chooses_by_the_whole_value_of_a_label() -> None:
    line = Line("waiting", "gauge", "commands", only=("queue", r"warren\.commands\..*"))
    names = ("warren.commands.00", "warren.commands.01", "warren.presence.00", "not.warren.commands.00")
    found: Samples = {("waiting", (("queue", queue),)): 1.0 for queue in names}
    assert values(line, [Pair("rabbitmq", 1, {}, found)]) == {"commands": 2}


def test_a_quantile_is_of_what_was_measured_in_between_on_all_replicas() -> None:
    before = buckets(le1_0=90, le2_0=90, leInf=90)
    one = Pair("gateway", 10, before, buckets(le1_0=91, le2_0=92, leInf=92))
    two = Pair("gateway", 10, before, buckets(le1_0=91, le2_0=92, leInf=92))
    assert values(HALF, [one, two]) == {"half": 1.0}


def test_where_nothing_was_measured_there_is_no_quantile() -> None:
    same = buckets(le1_0=5, leInf=5)
    assert values(HALF, [Pair("gateway", 10, same, same)]) == {}


@pytest.mark.parametrize(("share", "wanted"), [(0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (1.0, 2.0)])
def test_a_quantile_lies_evenly_within_its_bucket(share: float, wanted: float) -> None:
    assert quantile(share, {1.0: 10, 2.0: 20, math.inf: 20}) == pytest.approx(wanted)


def test_what_lies_beyond_the_last_bound_counts_as_lying_there() -> None:
    assert quantile(0.99, {1.0: 1, 2.0: 1, math.inf: 100}) == 2.0
    assert quantile(0.5, {math.inf: 3}) == 0.0
