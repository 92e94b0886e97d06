"""Events of many rooms in one AMQP message on `warren.events`: an index of one line, then the rooms' runs as they are.

    {"epoch":"…","stored":1767…,"rooms":["a","b"],"sizes":[93,212],"first":[7,4],"last":[7,5],"number":[5,2],…}⏎
    {"type":"events","room":"a","events":[…]}{"type":"events","room":"b","events":[…,…]}

A run is the JSON of a client frame, as clients get it. So a gateway parses the index alone, passes over what it does
not follow, and hands on the bytes of the rest.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import accumulate
from typing import Annotated, NamedTuple, Self, TypeVar

from pydantic import FailFast, Field, model_validator

from warren.contract.ids import Cursor, Seq
from warren.contract.wire import Wire

BUNDLE = "bundle"
"""The AMQP `type` of such a message; one of a single run has none."""
BUNDLE_BYTES = 64 * 1024
"""The most bytes of events in one. With what is around them, and the index, it is less than twice as large."""
BUNDLE_RUNS = 256
"""The most runs in one."""
BUNDLED_RUN_BYTES = 8 * 1024
"""The most bytes of a run's events in one: to pass over a larger one costs as much as another message."""

T = TypeVar("T")
Column = Annotated[list[T], FailFast()]
"""One value a run. What is wrong is said of the first: a list of all would cost the more, the worse an index is."""
RunChange = tuple[int, int, str, str]
"""An event that changes what somebody may do: its run's place, its seq, the user (everybody: ``""``), its type."""


class BundleIndex(Wire):
    """The first line of a bundle: columns with a value a run, in the order of the runs."""

    epoch: str
    stored: int
    """When, in Unix milliseconds."""
    rooms: Column[str]
    sizes: Column[Annotated[int, Field(gt=0)]]
    """In bytes."""
    first: Column[Seq]
    last: Column[Seq]
    number: Column[Cursor]
    """The room's messages up to `last`."""
    ends: Annotated[tuple[RunChange, ...], FailFast()] = ()
    """The events that end somebody's reading."""
    standings: Annotated[tuple[RunChange, ...], FailFast()] = ()
    """The events that change what somebody who may read may do."""

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if len({len(column) for column in (self.rooms, self.sizes, self.first, self.last, self.number)}) != 1:
            raise ValueError("columns of different lengths")
        return self


class BundledRun(NamedTuple):
    """Events `first` to `last` of a room; `body`: the JSON of a client frame. The rest is as in BundleIndex."""

    room: str
    body: bytes
    first: int
    last: int
    number: int
    ends: tuple[tuple[int, str, str], ...] = ()
    standings: tuple[tuple[int, str, str], ...] = ()


def write_bundle(epoch: str, stored: int, runs: Sequence[BundledRun]) -> bytes:
    """Return the body of the message."""
    index = BundleIndex.model_construct(
        epoch=epoch,
        stored=stored,
        rooms=[run.room for run in runs],
        sizes=[len(run.body) for run in runs],
        first=[run.first for run in runs],
        last=[run.last for run in runs],
        number=[run.number for run in runs],
        ends=tuple((place, *change) for place, run in enumerate(runs) for change in run.ends),
        standings=tuple((place, *change) for place, run in enumerate(runs) for change in run.standings),
    )
    line = index.model_dump_json(exclude_defaults=True).encode()
    return b"".join((line, b"\n", *(run.body for run in runs)))


def read_bundle(body: bytes, wanted: Container[str]) -> tuple[BundleIndex, Iterator[BundledRun]]:
    """Return the index, and the runs of the rooms that are wanted. Raises ValueError if it is no bundle."""
    start = body.find(b"\n") + 1
    index = BundleIndex.model_validate_json(body[:start])
    if start + sum(index.sizes) != len(body):
        raise ValueError(f"{len(body)} bytes, of which the index explains {start + sum(index.sizes)}")
    return index, _wanted_runs(body, start, index, wanted)


def _wanted_runs(body: bytes, start: int, index: BundleIndex, wanted: Container[str]) -> Iterator[BundledRun]:
    ends, standings = _by_run(index.ends), _by_run(index.standings)
    places = accumulate(index.sizes, initial=start)
    for run, (room, at) in enumerate(zip(index.rooms, places, strict=False)):
        if room in wanted:
            yield BundledRun(
                room, body[at : at + index.sizes[run]], index.first[run], index.last[run], index.number[run],
                tuple(ends.get(run, ())), tuple(standings.get(run, ())),
            )  # fmt: skip


def _by_run(changes: Sequence[RunChange]) -> dict[int, list[tuple[int, str, str]]]:
    found: dict[int, list[tuple[int, str, str]]] = {}
    for run, seq, user, kind in changes:
        found.setdefault(run, []).append((seq, user, kind))
    return found
