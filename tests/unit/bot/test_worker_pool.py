"""What a bot does in which order, and what it leaves when its connection ends or it has to stop."""

import asyncio
from typing import Any

from warren.bot import Bot, Unavailable
from warren.bot.api.event import Event
from warren.bot.api.position import Position
from warren.bot.api.state import Memory
from warren.bot.runtime.engine import Engine
from warren.bot.runtime.follower import Follower
from warren.bot.runtime.worker_pool import WorkerPool
from warren.bot.testing import Rooms


async def test_rooms_go_side_by_side_and_each_in_order() -> None:
    pool, done, gate = WorkerPool(8), list[str](), asyncio.Event()

    async def work(name: str, *, waits: bool = False) -> None:
        if waits:
            await gate.wait()
        done.append(name)

    pool.submit("a", lambda: work("a1", waits=True))
    pool.submit("a", lambda: work("a2"))
    pool.submit("b", lambda: work("b1"))
    await asyncio.sleep(0.01)
    assert done == ["b1"]
    gate.set()
    await asyncio.sleep(0.01)
    assert done == ["b1", "a1", "a2"]


async def test_what_a_lost_connection_brought_does_not_pile_up_behind_something_slow() -> None:
    pool, done, gate = WorkerPool(8), list[int](), asyncio.Event()
    current = [0]

    async def slow() -> None:
        await gate.wait()

    def brought(connection: int) -> None:
        async def work() -> None:
            done.append(connection)

        pool.submit("room", work, lambda: connection == current[0])

    pool.submit("room", slow)
    await asyncio.sleep(0)
    for connection in range(100):
        current[0] = connection
        pool.discard_stale()
        for _ in range(10):
            brought(connection)
        assert len(pool._waiting["room"]) == 10
    gate.set()
    await asyncio.sleep(0.01)
    assert done == [99] * 10


async def test_what_cannot_be_read_before_the_end_is_not_passed_over() -> None:
    bot, memory, stopping = Bot("stopping"), Memory(), asyncio.Event()
    memory.keep({}, "room", Position("e", 1))

    class Away(Rooms):
        async def read(self, room: str, after: int, limit: int = 500) -> Any:
            stopping.set()
            raise Unavailable("the database is away")

    async def dead_letter(event: Event, handler: str, reason: str) -> None:
        raise AssertionError(reason)

    chat = Away()
    follower = Follower(Engine(bot, chat, memory, dead_letter), chat, memory, None, stopping.is_set)
    event = {"seq": 5, "type": "message", "sender": "ann", "name": "Ann", "text": "x"}
    assert not await follower.take("room", "e", [event])
    assert memory.position("room").seq == 1
