"""Heads of rooms that are being loaded: each as the store has it when it is asked for, many in one question."""

import asyncio
from typing import cast

import pytest
from pydantic import BaseModel
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import RpcClient
from warren.contract.queries import RANGE_LIMIT, Head, Heads, HeadsAnswer
from warren_gateway.rooms.head_lookup import HeadLookup


class Store:
    """Rooms that all have the same head; `asked`: the rooms of each question."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.head = 1
        self.away = False

    async def ask(self, query: BaseModel, _: type[BaseModel]) -> HeadsAnswer:
        assert isinstance(query, Heads)
        self.asked.append(query.rooms)
        head = Head(head=self.head, number=0)
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("no answer in time")
        return HeadsAnswer(epoch="e", heads={room: head for room in query.rooms if room != "nothing-yet"})


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def lookup(store: Store) -> HeadLookup:
    return HeadLookup(cast(RpcClient, store))


async def test_rooms_that_come_at_once_are_asked_about_together(store: Store, lookup: HeadLookup) -> None:
    rooms = [f"room-{number}" for number in range(3 * RANGE_LIMIT)]
    found = await asyncio.gather(*map(lookup.ask, [*rooms, *rooms]))
    assert found == [("e", Head(head=1, number=0))] * len(found)
    assert sorted(room for names in store.asked for room in names) == sorted(rooms)
    assert len(store.asked) == 3


async def test_who_comes_while_a_question_is_under_way_hears_of_what_was_stored_since(
    store: Store, lookup: HeadLookup
) -> None:
    first = asyncio.create_task(lookup.ask("general"))
    await asyncio.sleep(0)  # it waits
    await asyncio.sleep(0)  # its question is under way
    store.head = 2
    assert (await lookup.ask("general"))[1].head == 2
    assert (await first)[1].head == 1


async def test_a_room_without_a_log_has_the_head_0(lookup: HeadLookup) -> None:
    assert await lookup.ask("nothing-yet") == ("e", Head(head=0, number=0))


async def test_a_question_that_fails_does_so_for_those_who_share_it_and_for_nobody_after(
    store: Store, lookup: HeadLookup
) -> None:
    store.away = True
    given_up = asyncio.create_task(lookup.ask("one"))
    await asyncio.sleep(0)
    given_up.cancel()
    found = await asyncio.gather(lookup.ask("one"), lookup.ask("two"), return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 2
    store.away = False
    assert (await lookup.ask("one"))[1].head == 1
