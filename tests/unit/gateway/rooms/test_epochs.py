"""A store that was replaced between two answers: nobody is shown a room made of both. No real one can be timed so."""

from typing import Any, cast

import pytest
from pydantic import BaseModel
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import RpcClient
from warren.contract.queries import Access, EventRange, Head, Heads, HeadsAnswer, Range, RoomAccess
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.registry import RoomRegistry
from warren_gateway.rooms.subscription import Subscription

ROOM = "general"
EVENTS = [{"seq": seq, "type": "message", "number": seq, "text": "of another store"} for seq in (1, 2)]


class Store:
    """What persistence answers, and which store each kind of answer is of."""

    def __init__(self, **epochs: str) -> None:
        self._epochs = {"heads": "one", "access": "one", "range": "one", **epochs}

    async def ask(self, query: BaseModel, _: type[BaseModel]) -> BaseModel:
        match query:
            case Heads():
                return HeadsAnswer(epoch=self._epochs["heads"], heads={ROOM: Head(head=2, number=2)})
            case RoomAccess():
                return Access(
                    epoch=self._epochs["access"], kind="public", title="T", head=2, number=2, read=0, member=True
                )
            case EventRange():
                return Range(epoch=self._epochs["range"], events=EVENTS, head=2)
        raise AssertionError(query)


class Reader:
    """Somebody who joins, and what they are shown."""

    user = "ann"

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.events: list[int] = []

    def send(self, frame: object) -> None:
        self.sent.append(frame)

    def broadcast(self, batch: Any) -> None:
        self.events += range(batch.first, batch.last + 1)

    async def drained(self) -> bool:
        return True


async def joined(monkeypatch: pytest.MonkeyPatch, store: Store, reader: Reader) -> None:
    registry = RoomRegistry(cast(RpcClient, store), PresenceClient("test/1"), 2**20)

    async def bound(_: str) -> None:
        return

    monkeypatch.setattr(registry.events.queue, "bind", bound)
    await registry.join(Subscription(cast(Any, reader), ROOM), 0, None)


async def test_answers_of_one_store_let_somebody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    await joined(monkeypatch, Store(), reader)
    assert reader.events == [1, 2]
    assert len(reader.sent) == 1


async def test_an_access_of_another_store_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    with pytest.raises(Unavailable, match="replaced"):
        await joined(monkeypatch, Store(access="two"), reader)
    assert (reader.sent, reader.events) == ([], [])


async def test_events_of_another_store_are_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    with pytest.raises(Unavailable, match="replaced"):
        await joined(monkeypatch, Store(range="two"), reader)
    assert reader.events == []
