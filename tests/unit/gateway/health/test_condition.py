"""What a gateway says of itself, by what came of requests; and who is sent people then."""

from itertools import product

import pytest
from warren.contract.codes import Code
from warren.contract.commands import Accepted, Refused
from warren_gateway.health.condition import FORGOTTEN_AFTER, STALLED_AFTER, WORK, Commands, Outcomes, Rotation

STORED = Accepted(id="c", seq=1, number=1)
UNAVAILABLE = Refused(id="c", code=Code.UNAVAILABLE, detail="not stored yet")
FORBIDDEN = Refused(id="c", code=Code.FORBIDDEN, detail="no")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_asks_nothing_fails_at_nothing(clock: Clock) -> None:
    assert Outcomes(clock).hold()


def test_it_fails_when_all_was_in_vain_for_so_long(clock: Clock) -> None:
    outcomes = Outcomes(clock)
    outcomes.failed(STALLED_AFTER / 2)
    assert outcomes.hold()
    clock.now += STALLED_AFTER
    outcomes.failed(0.0)
    assert not outcomes.hold()
    outcomes.answered()
    assert outcomes.hold()


def test_one_that_took_so_long_in_vain_is_enough(clock: Clock) -> None:
    outcomes = Outcomes(clock)
    outcomes.failed(STALLED_AFTER)
    assert not outcomes.hold()


def test_a_failure_of_long_ago_says_nothing_of_now(clock: Clock) -> None:
    outcomes = Outcomes(clock)
    outcomes.failed(STALLED_AFTER)
    clock.now += FORGOTTEN_AFTER + 1
    assert outcomes.hold()
    outcomes.failed(0.1)
    assert outcomes.hold()


def test_a_command_that_waits_is_as_good_as_one_that_failed(clock: Clock) -> None:
    waited = 0.0
    commands = Commands(lambda: waited, clock)
    assert commands.hold()
    waited = STALLED_AFTER
    assert not commands.hold()
    commands.note(STORED, 1.0)
    assert not commands.hold()


@pytest.mark.parametrize(("answer", "works"), [(STORED, True), (FORBIDDEN, True), (UNAVAILABLE, False)])
def test_a_refusal_is_an_answer(clock: Clock, answer: Accepted | Refused, works: bool) -> None:
    commands = Commands(lambda: 0.0, clock)
    commands.note(UNAVAILABLE, STALLED_AFTER)
    commands.note(answer, 1.0)
    assert commands.hold() == works


def test_what_is_refused_here_says_nothing_of_the_store(clock: Clock) -> None:
    commands = Commands(lambda: 0.0, clock)
    commands.note(UNAVAILABLE, STALLED_AFTER)
    commands.note(Refused(id="c", code=Code.TOO_MANY, detail="too many commands wait already"), 0.0)
    assert not commands.hold()


def rotation(results: dict[str, bool], *, excused: bool | None, worked: bool = True) -> bool:
    found = Rotation(lambda: excused)
    found(dict.fromkeys(results, worked))
    return found(results)


WELL = dict.fromkeys((*WORK, "serving", "keys"), True)


@pytest.mark.parametrize("excused", [None, False, True])
def test_one_that_works_is_sent_people(excused: bool | None) -> None:
    assert rotation(WELL, excused=excused)


@pytest.mark.parametrize(("missing", "excused"), [*product(("serving", "keys"), (None, False, True))])
def test_nothing_excuses_one_that_leaves_or_lets_nobody_in(missing: str, excused: bool | None) -> None:
    assert not rotation({**WELL, missing: False}, excused=excused)


@pytest.mark.parametrize("missing", WORK)
def test_one_in_trouble_stays_if_none_does_better(missing: str) -> None:
    assert not rotation({**WELL, missing: False}, excused=False)
    assert rotation({**WELL, missing: False}, excused=True)


def test_one_that_never_worked_takes_nobodys_place() -> None:
    assert not rotation({**WELL, "broker": False}, excused=True, worked=False)


@pytest.mark.parametrize("missing", WORK)
def test_one_that_can_ask_nobody_goes_by_its_own_links(missing: str) -> None:
    assert rotation({**WELL, missing: False}, excused=None) == (missing != "broker")
