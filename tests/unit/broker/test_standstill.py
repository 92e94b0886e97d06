"""A process that stood still blames no peer for it: what came meanwhile is read first."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection
from harness.fake_broker import FakeBroker
from pamqp import commands as spec
from pamqp.base import Frame
from warren.broker import consumer, liveness, majority
from warren.broker.connect import connect, drop
from warren.broker.consumer import declare_own_queue, open_channel, until_gone
from warren.broker.errors import Unresponsive, translated
from warren.broker.liveness import watch_liveness
from warren.broker.majority import watch_majority

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
PATIENCE = 0.5
STOOD_STILL = 3 * PATIENCE
TIMES = 5
TURNS = 20
"""Of the event loop, in which a question is answered."""
Watch = Callable[[AbstractConnection], Coroutine[Any, Any, None]]


async def sign_of_life(connection: AbstractConnection) -> None:
    await watch_liveness(connection, PATIENCE)


async def majority_of_the_node(connection: AbstractConnection) -> None:
    route = ("warren.presence", "0")
    await watch_majority(connection, lambda _: route, "test", lambda: PATIENCE)


async def own_queue(connection: AbstractConnection) -> None:
    channel = await open_channel(connection, 0)
    await until_gone(channel, await declare_own_queue(connection, channel, 1))


WATCHES: dict[str, tuple[Watch, type[Frame]]] = {
    "a sign of life": (sign_of_life, spec.Basic.Qos),
    "a majority": (majority_of_the_node, spec.Basic.Publish),
    "its queue": (own_queue, spec.Queue.Declare),
}
ANSWERED = {"a majority"}
"""What suffers from a standstill when no question is under way: it counts from the last answer."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next question follow the last answer, so that there is always one under way."""
    monkeypatch.setattr(liveness, "ASK_EVERY", 0.0)
    monkeypatch.setattr(majority, "PROBE_EVERY", 0.05)
    monkeypatch.setattr(consumer, "CHECK_EVERY", 0.001)
    monkeypatch.setattr(consumer, "CONSUME_TIMEOUT", PATIENCE)


@asynccontextmanager
async def watched(what: str) -> AsyncIterator[tuple[FakeBroker, type[Frame], "asyncio.Task[None]"]]:
    """Watch a peer; yields it, what it is asked, and the task that asks."""
    watch, question = WATCHES[what]
    async with asyncio.timeout(WITHIN), FakeBroker().running() as peer:
        connection = await connect(peer.url, "test", WITHIN)
        yield peer, question, asyncio.create_task(watch(connection))
        drop(connection)


@pytest.mark.parametrize("what", WATCHES)
async def test_who_stood_still_goes_on(what: str) -> None:
    async with watched(what) as (peer, question, watching):
        for number in range(1, TIMES + 1):
            await peer.visited(1, asked=number * 5, kind=question)
            for _ in range(TURNS if what in ANSWERED else 0):
                await asyncio.sleep(0)
            time.sleep(STOOD_STILL)  # noqa: ASYNC251  the loop, as if the whole process had been stopped
        await peer.visited(1, asked=peer.heard[question] + 5, kind=question)
        assert not watching.done(), watching.exception()
        watching.cancel()
        await asyncio.wait({watching})


@pytest.mark.parametrize("what", WATCHES)
async def test_who_is_not_answered_is_not_patient_for_ever(what: str) -> None:
    async with watched(what) as (peer, question, watching):
        await peer.visited(1, asked=5, kind=question)
        peer.confirms, peer.deaf = False, {question}
        with pytest.raises(Unresponsive), translated():
            await watching
