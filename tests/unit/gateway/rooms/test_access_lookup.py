"""Accesses, many in one question: each as if it were asked for alone, beside persistence of any version."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from pydantic import BaseModel
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.codes import Code
from warren.contract.queries import ACCESSES_LIMIT, Access, Accesses, Denied, RoomAccess, RoomAccesses
from warren_gateway.rooms.access_lookup import AccessLookup

UNKNOWN = QueryDenied(Denied(code=Code.INVALID, detail="type: not one of these"))
"""What a replica says to a query of a type that came after it."""


class Store:
    """Persistence in which everybody is a member of every room, but for what is `denied`."""

    def __init__(self) -> None:
        self.asked: list[RoomAccess | RoomAccesses] = []
        self.denied: dict[str, Denied] = {}
        self.is_old: Callable[[], bool] = lambda: False
        self.away: set[type[BaseModel]] = set()

    async def ask(self, query: RoomAccess | RoomAccesses, kind: type[BaseModel]) -> BaseModel:
        self.asked.append(query)
        await asyncio.sleep(0)
        if type(query) in self.away:
            raise Unavailable("no answer in time")
        if isinstance(query, RoomAccesses):
            if self.is_old():
                raise UNKNOWN
            assert kind is Accesses
            return Accesses(answers=[self.denied.get(one.user) or access(one) for one in query.queries])
        assert kind is Access
        if denied := self.denied.get(query.user):
            raise Unavailable(denied.detail) if denied.code == Code.UNAVAILABLE else QueryDenied(denied)
        return access(query)

    @property
    def together(self) -> list[RoomAccesses]:
        return [query for query in self.asked if isinstance(query, RoomAccesses)]


def access(query: RoomAccess) -> Access:
    title = f"{query.user} in {query.room}"
    return Access(epoch="e", kind="public", title=title, head=1, number=1, read=0, member=True)


def queries(count: int) -> list[RoomAccess]:
    return [RoomAccess(room=f"room-{number % 10}", user=f"user-{number}") for number in range(count)]


async def ask(store: Store, asked: list[RoomAccess]) -> list[Access | BaseException]:
    lookup = AccessLookup(cast(RpcClient, store))
    return await asyncio.gather(*map(lookup.ask, asked), return_exceptions=True)


async def test_a_lone_question_is_the_one_that_every_version_knows() -> None:
    store, asked = Store(), queries(1)
    assert await ask(store, asked) == [access(asked[0])]
    assert store.asked == asked


async def test_many_are_one_question_and_each_hears_its_own() -> None:
    store, asked = Store(), queries(3 * ACCESSES_LIMIT)
    assert await ask(store, asked) == list(map(access, asked))
    assert len(store.asked) == len(store.together) == 3


@pytest.mark.parametrize("old", [False, True])
async def test_a_denial_touches_no_other(old: bool) -> None:
    store, asked = Store(), queries(10)
    store.is_old = lambda: old
    store.denied = {
        "user-3": Denied(code=Code.NOT_FOUND, detail="no such room"),
        "user-5": Denied(code=Code.UNAVAILABLE, detail="not now"),
    }
    found = await ask(store, asked)
    denied, unavailable = found[3], found[5]
    assert isinstance(denied, QueryDenied)
    assert (denied.code, denied.detail) == (Code.NOT_FOUND, "no such room")
    assert isinstance(unavailable, Unavailable)
    assert [one for one in found if isinstance(one, Access)] == [
        access(one) for one in asked if one.user not in store.denied
    ]


async def test_beside_a_replica_that_does_not_know_the_question_each_is_asked_alone() -> None:
    store, asked = Store(), queries(ACCESSES_LIMIT)
    store.is_old = lambda: True
    assert await ask(store, asked) == list(map(access, asked))
    assert [query for query in store.asked if isinstance(query, RoomAccess)] == asked


async def test_old_and_new_replicas_may_answer_by_turns() -> None:
    """They share the queue: which one takes a question is chance, and none of that is remembered."""
    store, asked = Store(), queries(6 * ACCESSES_LIMIT)
    store.is_old = lambda: len(store.together) % 2 == 1
    lookup = AccessLookup(cast(RpcClient, store))
    for start in range(0, len(asked), ACCESSES_LIMIT):
        some = asked[start : start + ACCESSES_LIMIT]
        assert await asyncio.gather(*map(lookup.ask, some)) == list(map(access, some))
    assert len(store.together) == 6
    assert len(store.asked) == 6 + 3 * ACCESSES_LIMIT


@pytest.mark.parametrize("kind", [RoomAccess, RoomAccesses])
async def test_without_a_store_all_hear_so(kind: type[BaseModel]) -> None:
    store = Store()
    store.is_old = lambda: True
    store.away = {kind}
    found = await ask(store, queries(5))
    assert [type(one) for one in found] == [Unavailable] * 5
