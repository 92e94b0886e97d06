"""Rooms that wait after a failure: how long, how many; and which of many it was."""

from collections.abc import Sequence

import pytest
from warren.ops.mongo import StoreUnavailable
from warren_persistence.projections.postponed import FIRST_WAIT, LAST_WAIT, LIMIT, Postponed, by_halves


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_wait_is_twice_as_long_up_to_a_bound() -> None:
    postponed = Postponed(clock := Clock())
    waits = []
    for _ in range(12):
        postponed.tried(["a"], ["a"])
        begun = clock.now
        while postponed.waits("a"):
            assert postponed.due(10) == []
            clock.now += FIRST_WAIT
        assert postponed.due(10) == ["a"]
        waits.append(clock.now - begun)
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LAST_WAIT


def test_what_has_worked_waits_no_more_and_begins_anew() -> None:
    postponed = Postponed(clock := Clock())
    postponed.tried(["a", "b"], ["a"])
    clock.now += FIRST_WAIT
    postponed.tried(["a"], [])
    assert (len(postponed), postponed.waits("a")) == (0, False)
    postponed.tried(["a"], ["a"])
    clock.now += FIRST_WAIT
    assert postponed.due(1) == ["a"]


def test_what_others_have_seen_to_is_forgotten() -> None:
    postponed = Postponed(Clock())
    postponed.tried(["a", "b"], ["a", "b"])
    postponed.keep({"b", "c"})
    assert [room in postponed for room in "abc"] == [False, True, False]


def test_no_more_rooms_are_remembered_than_there_may_be() -> None:
    postponed = Postponed(Clock())
    rooms = [str(number) for number in range(LIMIT + 10)]
    postponed.tried(rooms[:LIMIT], rooms[:LIMIT])
    assert (postponed.takes(1), len(postponed)) == (False, LIMIT)
    postponed.tried(rooms[LIMIT:], rooms[LIMIT:])
    assert len(postponed) == LIMIT
    assert ("0" in postponed, rooms[-1] in postponed) == (False, True)


@pytest.mark.parametrize("bad", [set(), {"1"}, {"0", "6"}, {str(number) for number in range(7)}])
async def test_it_is_found_out_which_fail(bad: set[str]) -> None:
    done: set[str] = set()

    async def work(rooms: Sequence[str]) -> set[str]:
        if bad & {*rooms}:
            raise ValueError(rooms)
        done.update(rooms)
        return {"3"} & {*rooms}

    rooms = [str(number) for number in range(7)]
    assert await by_halves(rooms, work) == bad | {"3"}
    assert done == {*rooms} - bad


async def test_mongodb_away_is_no_fault_of_a_room() -> None:
    async def work(_: Sequence[str]) -> set[str]:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await by_halves(["a", "b"], work)
