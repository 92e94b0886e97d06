"""What is remembered of keys that no queue is bound to: for a while, and not of more than so many."""

import pytest
import warren_persistence.publishing.unbound_keys as module
from warren_persistence.publishing.unbound_keys import UNBOUND_FOR, UnboundKeys


class Clock:
    """Tells what time it is said to be."""

    now = 100.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


def test_a_key_is_remembered_for_a_while() -> None:
    clock = Clock()
    keys = UnboundKeys(clock)
    keys.add(["a", "b"])
    assert keys.all(["a", "b"])
    assert not keys.all(["a", "c"])
    clock.now += UNBOUND_FOR - 1
    keys.add(["a"])
    clock.now += 2
    assert keys.all(["a"])
    assert not keys.all(["b"])


def test_those_of_which_nothing_is_believed_any_more_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYS", 2)
    clock = Clock()
    keys = UnboundKeys(clock)
    keys.add(["a", "b", "c"])
    assert [keys.all([key]) for key in "abc"] == [True, True, False]
    clock.now += UNBOUND_FOR + 1
    keys.add(["c", "d"])
    assert [keys.all([key]) for key in "abcd"] == [False, False, True, True]
