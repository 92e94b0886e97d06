"""Lookups that gather: each finds what the store has when asked for, in few questions, and none waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest
from warren.broker.errors import Unavailable
from warren_gateway.rooms import gathered_lookup
from warren_gateway.rooms.gathered_lookup import AT_ONCE, GatheredLookup


class Lookup(GatheredLookup[str, int]):
    """Finds one value for all keys; `asked`: the keys of each question, which ends when the test says so."""

    def __init__(self, limit: int = 100) -> None:
        super().__init__(limit)
        self.asked: list[list[str]] = []
        self.value = 1
        self.may_end = asyncio.Semaphore(0)
        self.failing: Exception | None = None
        self.wrong: dict[str, Exception] = {}
        self.short = 0

    async def ask_all(self, keys: Sequence[str]) -> Sequence[int | BaseException]:
        self.asked.append(list(keys))
        value, failing = self.value, self.failing
        await self.may_end.acquire()
        if failing:
            raise failing
        return [self.wrong.get(key, value) for key in keys][self.short :]

    def let_end(self, questions: int = 1_000) -> None:
        for _ in range(questions):
            self.may_end.release()


async def settled() -> None:
    """Let everything come as far as it does by itself."""
    for _ in range(20):
        await asyncio.sleep(0)


async def coming(lookup: Lookup, *keys: str) -> list["asyncio.Task[int]"]:
    found = [asyncio.create_task(lookup.ask(key)) for key in keys]
    await settled()
    return found


async def test_a_lone_question_goes_at_once_and_what_comes_while_some_are_under_way_goes_together() -> None:
    lookup = Lookup()
    lone = [await coming(lookup, f"lone-{number}") for number in range(AT_ONCE)]
    await coming(lookup, "a")
    await coming(lookup, "b", "c", "a")
    assert lookup.asked == [[f"lone-{number}"] for number in range(AT_ONCE)]
    lookup.let_end(1)
    await settled()
    assert lone[0][0].done()
    assert lookup.asked[AT_ONCE:] == [["a", "b", "c"]]


async def test_no_question_has_more_than_the_limit_and_so_many_are_under_way() -> None:
    lookup = Lookup(limit=3)
    keys = [str(number) for number in range(20)]
    together = await coming(lookup, *keys, *keys)
    assert [len(asked) for asked in lookup.asked] == [3] * AT_ONCE
    lookup.let_end()
    assert await asyncio.gather(*together) == [1] * 40
    assert [key for asked in lookup.asked for key in asked] == keys
    assert max(map(len, lookup.asked)) == 3


async def test_who_comes_while_a_question_is_under_way_hears_of_what_was_stored_since() -> None:
    lookup = Lookup()
    (first,) = await coming(lookup, "general")
    lookup.value = 2
    (second,) = await coming(lookup, "general")
    lookup.let_end()
    assert (await first, await second) == (1, 2)


async def test_a_question_that_fails_does_so_for_those_who_share_it_and_for_nobody_else() -> None:
    lookup = Lookup(limit=2)
    lookup.failing = Unavailable("no answer in time")
    together = await coming(lookup, *(f"{number}" for number in range(2 * AT_ONCE)))
    lookup.failing = None
    others = await coming(lookup, "other", "another")
    together[0].cancel()
    lookup.let_end()
    found = await asyncio.gather(*together[1:], return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * (2 * AT_ONCE - 1)
    assert await asyncio.gather(*others) == [1, 1]
    assert await lookup.ask("0") == 1


async def test_one_that_fails_leaves_the_others_of_its_question_theirs() -> None:
    lookup = Lookup()
    lookup.wrong = {"b": KeyError("b")}
    lookup.let_end()
    found = await asyncio.gather(*map(lookup.ask, "abc"), return_exceptions=True)
    assert [found[0], found[2]] == [1, 1]
    assert isinstance(found[1], KeyError)


async def test_an_answer_of_another_length_is_none() -> None:
    lookup = Lookup()
    lookup.short = 1
    lookup.let_end()
    found = await asyncio.gather(*map(lookup.ask, "abc"), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 3


async def test_who_asks_when_too_many_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered_lookup, "WAITING_LIMIT", 5)
    lookup = Lookup()
    for number in range(AT_ONCE):
        await coming(lookup, f"under way {number}")
    waiting = await coming(lookup, *"abcde")
    with pytest.raises(Unavailable):
        await lookup.ask("one more")
    shared = await coming(lookup, "e")  # which waits already
    lookup.let_end()
    assert await asyncio.gather(*waiting, *shared) == [1] * 6
    assert await lookup.ask("one more") == 1


async def test_who_waited_too_long_for_a_turn_is_told_and_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = Lookup()
    under_way = [await coming(lookup, f"under way {number}") for number in range(AT_ONCE)]
    monkeypatch.setattr(gathered_lookup, "ASK_WITHIN", -1.0)
    late = await coming(lookup, "late", "too late")
    monkeypatch.undo()
    timely = await coming(lookup, "timely")
    lookup.let_end()
    found = await asyncio.gather(*late, return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 2
    assert await asyncio.gather(*timely, *(task for tasks in under_way for task in tasks)) == [1] * (AT_ONCE + 1)
    assert lookup.asked[AT_ONCE:] == [["timely"]]
