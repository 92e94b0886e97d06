"""Heads of rooms that are being loaded: many in one question."""

import asyncio
from typing import cast

from pydantic import BaseModel
from warren.broker.rpc_client import RpcClient
from warren.contract.queries import RANGE_LIMIT, Head, Heads, HeadsAnswer
from warren_gateway.rooms.head_lookup import HeadLookup


class Store:
    """Rooms that all have the same head; `asked`: the rooms of each question."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def ask(self, query: BaseModel, _: type[BaseModel]) -> HeadsAnswer:
        assert isinstance(query, Heads)
        self.asked.append(query.rooms)
        found = {room: Head(head=1, number=0) for room in query.rooms if room != "nothing-yet"}
        return HeadsAnswer(epoch="e", heads=found)


async def test_rooms_that_come_at_once_are_asked_about_together() -> None:
    store = Store()
    lookup = HeadLookup(cast(RpcClient, store))
    rooms = [f"room-{number}" for number in range(3 * RANGE_LIMIT)]
    found = await asyncio.gather(*map(lookup.ask, [*rooms, *rooms]))
    assert found == [("e", Head(head=1, number=0))] * len(found)
    assert sorted(room for names in store.asked for room in names) == sorted(rooms)
    assert len(store.asked) == 3


async def test_a_room_without_a_log_has_the_head_0() -> None:
    assert await HeadLookup(cast(RpcClient, Store())).ask("nothing-yet") == ("e", Head(head=0, number=0))
