"""Looks at all replicas over and over, and keeps what the figures show of the last minutes."""

import functools
import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

import httpx

from warren_ui.operations.config import Settings
from warren_ui.operations.figures import CPU, MEMORY, READY, SECTIONS, STARTED, UP, Figure
from warren_ui.operations.rates import Pair, values
from warren_ui.operations.scrape import NoAnswer, Replica, Samples, Scrape, Target, client, read, replicas

EVERY = 2.0
"""Seconds between two scrapes while somebody looks at them …"""
REST = 15.0
"""… and while nobody does: each costs every replica some milliseconds. Whoever comes sees what is a little older."""
VISIT = 30.0
"""Seconds for which somebody looks who has looked."""
WINDOW = 6
"""Looks over which growth is measured."""
KEPT = 450
"""Looks that are kept: a quarter of an hour."""
MOST_REPLICAS = 200
"""Further ones are not looked at."""
MOST_GONE = 20
"""Replicas that are no longer there and still spoken of."""
MOST_LINES = 20
"""In one figure; further ones are left out."""
AT_ONCE = 16
"""Replicas that are read at the same time."""

State = Literal["ready", "leaving", "gone", "not ready", "no answer"]
_LEAVING = frozenset({"serving"})
"""What a gateway misses that was told to stop and sends its clients away."""
_SEEN = {"storing": "what people send is not stored", "reading": "people cannot read"}
"""What it is to people that a gateway's check fails."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How a replica is, since when (seconds since 1970), and more words about it. What is not known is None.

    `cpu`: of one core; `memory`: bytes.
    """

    replica: Replica
    state: State
    why: str = ""
    since: float = 0.0
    started: float | None = None
    cpu: float | None = None
    memory: float | None = None


@dataclass(slots=True)
class _Seen:
    """What is remembered of a replica: the last scrapes, the oldest first, and how it was."""

    status: ReplicaStatus
    scrapes: deque[tuple[float, Samples]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, now: float, samples: Samples) -> None:
        """Remember a scrape. What another process counted before is of no use."""
        if self.scrapes and _one(self.scrapes[-1][1], STARTED) != _one(samples, STARTED):
            self.scrapes.clear()
        self.scrapes.append((now, samples))

    def pair(self) -> Pair | None:
        """Return the oldest scrape and the newest."""
        if len(self.scrapes) < 2:
            return None
        (first, before), (last, now) = self.scrapes[0], self.scrapes[-1]
        return Pair(self.status.replica.service, last - first, before, now)


class Watch:
    """What is known; a thread of its own keeps it up to date from `start` on, as long as the process lives."""

    def __init__(self, targets: Sequence[Target], clock: Callable[[], float] = time.time) -> None:
        self._targets = targets
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Replica, _Seen] = {}
        self._metrics: frozenset[str] = frozenset()
        self._left_out = 0
        self._visited = threading.Event()
        self._last_visit = -math.inf
        self._times: deque[float] = deque(maxlen=KEPT)
        self._lines: dict[Figure, dict[str, deque[float | None]]] = {
            figure: {} for figures in SECTIONS.values() for figure in figures
        }

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def visit(self) -> None:
        """Take note that somebody looks at what is known."""
        self._last_visit = self._clock()
        self._visited.set()

    @property
    def pause(self) -> float:
        """Seconds from the beginning of a scrape to the next one."""
        return EVERY if self._clock() - self._last_visit < VISIT else REST

    @property
    def scraped_at(self) -> float | None:
        """When all replicas were last looked at, in seconds since 1970."""
        with self._lock:
            return self._times[-1] if self._times else None

    @property
    def left_out(self) -> int:
        """How many replicas are too many to be looked at."""
        return self._left_out

    def statuses(self) -> list[ReplicaStatus]:
        """Return how all replicas are, in the targets' order."""
        with self._lock:
            return [seen.status for seen in self._seen.values()]

    def has(self, figure: Figure) -> bool:
        """Whether any replica has a metric of it, be it that nothing was counted yet."""
        with self._lock:
            return any(line.metric in self._metrics for line in figure.lines)

    def lines(self, figure: Figure) -> tuple[list[float], dict[str, list[float | None]]]:
        """Return when it was looked at, in seconds since 1970, and what each line was then; None: nothing measured."""
        with self._lock:
            return list(self._times), {name: list(found) for name, found in self._lines[figure].items()}

    def _run(self) -> None:
        with client() as http, ThreadPoolExecutor(AT_ONCE) as pool:
            while True:
                began = time.monotonic()
                try:
                    self.scrape(http, pool)
                except Exception:
                    _LOG.exception("a scrape failed")  # the page says that its figures are old
                time.sleep(max(0.0, EVERY - (time.monotonic() - began)))
                self._visited.clear()
                if (rest := self.pause - (time.monotonic() - began)) > 0:
                    self._visited.wait(rest)

    def scrape(self, http: httpx.Client, pool: ThreadPoolExecutor) -> None:
        """Scrape once."""
        known = list(itertools.chain.from_iterable(pool.map(lambda one: list(replicas([one])), self._targets)))
        everybody = list(dict.fromkeys(known))[:MOST_REPLICAS]
        found = dict(zip(everybody, pool.map(lambda replica: _try(http, replica), everybody), strict=True))
        with self._lock:
            now = self._clock()
            self._left_out = len(known) - len(everybody)
            self._metrics = frozenset({UP}).union(
                *(scrape.metrics for scrape in found.values() if isinstance(scrape, Scrape))
            )
            gone = [_gone(seen, now) for replica, seen in self._seen.items() if replica.found and replica not in found]
            self._seen = {replica: self._saw(replica, scrape, now) for replica, scrape in found.items()}
            recent = (seen for seen in reversed(gone) if seen.status.since > now - KEPT * EVERY)
            self._seen |= {seen.status.replica: seen for seen in itertools.islice(recent, MOST_GONE)}
            self._times.append(now)
            self._draw()

    def _saw(self, replica: Replica, scrape: Scrape | NoAnswer, now: float) -> _Seen:
        seen = self._seen.get(replica) or _Seen(ReplicaStatus(replica, "ready", since=now))
        if isinstance(scrape, Scrape):
            seen.add(now, {**scrape.samples, (UP, ()): 1.0})
            fresh = _answered(replica, scrape.samples, seen.pair())
        else:
            seen.scrapes.clear()
            fresh = ReplicaStatus(replica, "no answer", str(scrape))
        seen.status = _since(fresh, seen.status, now)
        return seen

    def _draw(self) -> None:
        pairs = [pair for seen in self._seen.values() if (pair := seen.pair()) is not None]
        silent = [seen.status for seen in self._seen.values() if seen.status.state == "no answer"]
        pairs += [Pair(status.replica.service, 1.0, {}, {(UP, ()): 0.0}) for status in silent]
        for figure, lines in self._lines.items():
            found = {name: value for line in figure.lines for name, value in values(line, pairs).items()}
            for name in [*lines, *(name for name in found if name not in lines)][:MOST_LINES]:
                line = lines.setdefault(name, deque([None] * (len(self._times) - 1), maxlen=KEPT))
                line.append(found.get(name))
            for name in [name for name, line in lines.items() if all(value is None for value in line)]:
                del lines[name]


@functools.cache
def watch() -> Watch:
    """Return the process's one watch, which the first call begins: all visitors look at the same."""
    found = Watch(Settings().watched)
    found.start()
    return found


def _try(http: httpx.Client, replica: Replica) -> Scrape | NoAnswer:
    try:
        return read(http, replica)
    except NoAnswer as error:
        return error


def _answered(replica: Replica, samples: Samples, pair: Pair | None) -> ReplicaStatus:
    missing = frozenset(_missing(samples))
    state: State = "ready" if not missing else "leaving" if missing == _LEAVING else "not ready"
    why = _why(missing - _LEAVING) if state == "not ready" else ""
    cpu = None
    if pair is not None and (used := _one(pair.now, CPU)) is not None:
        cpu = (used - (_one(pair.before, CPU) or 0.0)) / pair.seconds
    return ReplicaStatus(replica, state, why, 0.0, _one(samples, STARTED), cpu, _one(samples, MEMORY))


def _missing(samples: Samples) -> Iterator[str]:
    for (name, labels), value in samples.items():
        if name == READY and not value:
            yield dict(labels).get("check", "a check")


def _why(missing: frozenset[str]) -> str:
    """Return what is the matter, first what people see of it."""
    seen = [words for check, words in _SEEN.items() if check in missing]
    rest = sorted(missing - _SEEN.keys())
    return ", ".join([*seen, *([f"misses {', '.join(rest)}"] if rest else [])])


def _gone(seen: _Seen, now: float) -> _Seen:
    replica, since = seen.status.replica, seen.status.since if seen.status.state == "gone" else now
    return _Seen(ReplicaStatus(replica, "gone", "its name does not lead there any more", since))


def _since(fresh: ReplicaStatus, before: ReplicaStatus, now: float) -> ReplicaStatus:
    same = (fresh.state, fresh.why) == (before.state, before.why)
    return replace(fresh, since=before.since if same else now)


def _one(samples: Samples, name: str) -> float | None:
    return samples.get((name, ()))
