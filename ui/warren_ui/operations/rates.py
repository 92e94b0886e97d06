"""Makes the figures' numbers of what replicas count, as Prometheus would."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from warren_ui.operations.figures import Line
from warren_ui.operations.scrape import Samples


@dataclass(frozen=True, slots=True)
class Pair:
    """Two scrapes of one replica, `seconds` from each other, and the service that it is of."""

    service: str
    seconds: float
    before: Samples
    now: Samples


def values(line: Line, pairs: Iterable[Pair]) -> dict[str, float]:
    """Return the line's values now, by the name of each; nothing where nobody counts, or nothing was measured."""
    match line.kind:
        case "gauge":
            return _summed(line, ((pair.service, pair.now, 1.0) for pair in pairs))
        case "counter":
            return _summed(line, ((pair.service, grown(pair), pair.seconds) for pair in pairs))
        case "histogram":
            return _quantile(line, pairs)


def _summed(line: Line, found: Iterable[tuple[str, Samples, float]]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for service, samples, seconds in found:
        for labels, value in _of(line, line.metric, service, samples):
            sums[labels.get(line.by, "") if line.by else line.name] += value / seconds
    return dict(sums)


def _quantile(line: Line, pairs: Iterable[Pair]) -> dict[str, float]:
    buckets: defaultdict[float, float] = defaultdict(float)
    for pair in pairs:
        for labels, value in _of(line, f"{line.metric}_bucket", pair.service, grown(pair)):
            buckets[float(labels.get("le", "inf"))] += value
    found = quantile(line.at, buckets)
    return {} if found is None else {line.name: found}


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return the quantile of a histogram, cumulative counts by upper bound; None if it is empty.

    Evenly within a bucket; what lies beyond the last bound counts as lying there.
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    rank, low, under = share * total, 0.0, 0.0
    for high, count in sorted(buckets.items()):
        if math.isinf(high):
            break
        if count >= rank and count > under:
            return low + (high - low) * (rank - under) / (count - under)
        low, under = high, count
    return low


def grown(pair: Pair) -> Samples:
    """Return what counters grew by; one that is smaller than before began anew with its process."""
    before = pair.before
    return {
        key: value - before.get(key, 0.0) if value >= before.get(key, 0.0) else value
        for key, value in pair.now.items()
    }  # fmt: skip


def _of(line: Line, name: str, service: str, samples: Samples) -> Iterator[tuple[dict[str, str], float]]:
    label, wanted = line.only or ("", "")
    for (sample, pairs), value in samples.items():
        if sample == name:
            labels = {**dict(pairs), "job": service}
            if re.fullmatch(wanted, labels.get(label, "")):
                yield labels, value
