"""Where a client stands in all its rooms, as one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warren.contract.frames import Joined
from warren_gateway.transports.cursors import Cursors, Position

EPOCH = "5f0c5f0c5f0c5f0c"


def joined(room: str, head: int, *, epoch: str = EPOCH, reset: bool = False) -> Joined:
    return Joined(room=room, epoch=epoch, head=head, number=head, read=0, reset=reset)


@given(st.lists(st.none() | st.integers(0, 2**49), min_size=1, max_size=200))
def test_what_is_written_is_read_again(seqs: list[int | None]) -> None:
    rooms = [f"r{number}" for number in range(len(seqs))]
    positions = [Position() if seq is None else Position(seq, EPOCH) for seq in seqs]
    cursors = Cursors(dict(zip(rooms, positions, strict=True)))
    assert Cursors.parse(rooms, str(cursors)).positions == cursors.positions


def test_a_room_in_which_nothing_is_to_be_replayed_begins_at_its_head() -> None:
    cursors = Cursors.parse(["a", "b"], None)
    cursors.joined(joined("b", 7))
    assert str(cursors) == f"{EPOCH}..7"
    assert [(join.room, join.since, join.epoch) for join in cursors.joins] == [("a", None, None), ("b", 7, EPOCH)]


def test_what_is_replayed_counts_only_when_it_has_come() -> None:
    cursors = Cursors.parse(["a"], f"{EPOCH}.41")
    cursors.joined(joined("a", 57))
    assert str(cursors) == f"{EPOCH}.41"
    cursors.moved("a", 50)
    assert str(cursors) == f"{EPOCH}.50"


def test_a_reset_begins_at_the_head_of_the_new_log() -> None:
    cursors = Cursors.parse(["a"], f"{EPOCH}.41")
    cursors.joined(joined("a", 3, epoch="new", reset=True))
    assert str(cursors) == "new.3"


def test_rooms_of_two_epochs_are_all_to_be_reset() -> None:
    cursors = Cursors({"a": Position(3, "old"), "b": Position(4, "new")})
    assert str(cursors) == "-.3.4"
    assert {join.epoch for join in Cursors.parse(["a", "b"], str(cursors)).joins} == {"-"}


def test_a_cursor_without_an_epoch_is_of_whichever_there_is() -> None:
    assert Cursors.parse(["a"], ".5").positions == {"a": Position(5, None)}


def test_a_room_that_was_left_has_no_place() -> None:
    cursors = Cursors.parse(["a", "b"], f"{EPOCH}.1.2")
    cursors.left("a")
    assert str(cursors) == f"{EPOCH}..2"


@pytest.mark.parametrize(
    "text", ["", "x", "x.", "x.1.2.3", "x.1,2", "x.-1.2", f"{'e' * 65}.1.2", f"x.{'1' * 16}.2", "x.1.2\n"]
)
def test_what_is_no_cursor_of_these_rooms_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Cursors.parse(["a", "b"], text)
