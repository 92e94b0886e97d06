"""Bundles: what is written is read again, by whoever follows which rooms; what makes no sense is refused."""

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import ValidationError
from warren.contract.bundles import BundledRun, read_bundle, write_bundle
from warren.contract.ids import ROOM_PATTERN

GOLDEN = Path(__file__).parent / "golden" / "events.bundle"
CHANGES = st.lists(st.tuples(st.integers(1, 9), st.text(), st.text()), max_size=3).map(tuple)
RUNS = st.lists(
    st.builds(
        BundledRun,
        st.from_regex(ROOM_PATTERN, fullmatch=True),
        st.binary(min_size=1),
        *[st.integers(1, 2**53 - 1)] * 2,
        st.integers(0, 2**53 - 1),
        CHANGES,
        CHANGES,
    ),
    max_size=8,
)


@given(RUNS, st.text(), st.integers(0, 2**60), st.data())
def test_each_reads_the_runs_of_the_rooms_it_follows(
    runs: list[BundledRun], epoch: str, stored: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.sets(st.sampled_from([run.room for run in runs]))) if runs else set[str]()
    index, found = read_bundle(write_bundle(epoch, stored, runs), wanted)
    assert (index.epoch, index.stored, index.rooms) == (epoch, stored, [run.room for run in runs])
    assert list(found) == [run for run in runs if run.room in wanted]


def test_the_layout_is_fixed() -> None:
    """Replicas of other versions read it: add a file beside this one, never change it."""
    body = GOLDEN.read_bytes()
    index, found = read_bundle(body, {"general", "warren-dev"})
    runs = list(found)
    assert (index.epoch, index.stored) == ("5f0c9a7e2b4d", 1_767_323_045_678)
    assert [(run.room, run.first, run.last, run.number) for run in runs] == [
        ("general", 8, 8, 3),
        ("warren-dev", 4, 5, 0),
    ]
    assert [run.ends for run in runs] == [(), ((5, "eve-9e8f7a6b", "member.left"),)]
    assert [run.standings for run in runs] == [(), ((4, "bob-5a6b7c8d", "member.muted"),)]
    for run in runs:
        frame = json.loads(run.body)
        assert (frame["type"], frame["room"]) == ("events", run.room)
        assert [frame["events"][0]["seq"], frame["events"][-1]["seq"]] == [run.first, run.last]
    assert write_bundle(index.epoch, index.stored, runs) == body


def index_of(body: bytes) -> dict[str, Any]:
    """Return the first line of a bundle."""
    found: dict[str, Any] = json.loads(body.partition(b"\n")[0])
    return found


def test_a_column_of_a_newer_replica_is_passed_over() -> None:
    line, _, runs = GOLDEN.read_bytes().partition(b"\n")
    newer = json.dumps({**json.loads(line), "since_version_2": [1, None]}).encode()
    assert list(read_bundle(newer + b"\n" + runs, {"general"})[1]) == list(
        read_bundle(GOLDEN.read_bytes(), {"general"})[1]
    )


WRONG: dict[str, Any] = {
    "no line": lambda line, runs: runs,
    "nothing": lambda line, runs: b"",
    "no index": lambda line, runs: b"\n" + runs,
    "an index that is no JSON": lambda line, runs: b"{\n" + runs,
    "an index that is a list": lambda line, runs: b"[]\n" + runs,
    "a byte too few": lambda line, runs: line + b"\n" + runs[:-1],
    "a byte too many": lambda line, runs: line + b"\n" + runs + b"}",
    "two lines": lambda line, runs: line + b"\n\n" + runs,
    "columns of different lengths": lambda line, runs: changed(line, runs, rooms=["general"]),
    "no sizes": lambda line, runs: changed(line, runs, sizes=None),
    "sizes that add up and are none": lambda line, runs: changed(line, runs, sizes=[-1, len(runs) + 1]),
    "seqs that are texts": lambda line, runs: changed(line, runs, first=["a", "b"]),
    "a seq before the beginning": lambda line, runs: changed(line, runs, first=[0, 4]),
    "changes of no form": lambda line, runs: changed(line, runs, ends=[[1, 5]]),
    "rooms that are numbers": lambda line, runs: changed(line, runs, rooms=[1, 2]),
}


def changed(line: bytes, runs: bytes, **columns: Any) -> bytes:
    return json.dumps({**json.loads(line), **columns}).encode() + b"\n" + runs


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_makes_no_sense_is_refused_as_a_whole(wrong: Any) -> None:
    line, _, runs = GOLDEN.read_bytes().partition(b"\n")
    assert read_bundle(line + b"\n" + runs, ())
    with pytest.raises(ValueError):  # noqa: PT011
        read_bundle(wrong(line, runs), ())


def test_an_index_that_is_full_of_mistakes_costs_no_list_of_them() -> None:
    wrong = ["x"] * 10_000
    columns = dict.fromkeys(("sizes", "first", "last", "number", "ends", "standings"), wrong)
    line = json.dumps({"epoch": "e", "stored": 0, "rooms": [0] * 10_000, **columns}).encode()
    with pytest.raises(ValidationError) as found:
        read_bundle(line + b"\n", ())
    assert found.value.error_count() <= len(columns) + 1
