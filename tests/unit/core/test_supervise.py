"""What nobody foresaw ends no more than it must, and nothing that must go on ends unnoticed."""

import asyncio
import inspect
import logging
import os
import signal
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from warren.broker.command_client import CommandClient
from warren.broker.publisher import Publisher
from warren.ops.serve import background
from warren.supervise import EndedError, Tasks, contained, endless
from warren_gateway.rooms.default_room import default_room
from warren_persistence.queries.consumer import QueryConsumer
from warren_persistence.store import Store


def failures(what: str) -> float:
    return REGISTRY.get_sample_value("warren_failures_total", {"what": what}) or 0.0


def test_an_exception_is_logged_counted_and_handed_on(caplog: pytest.LogCaptureFixture) -> None:
    before, called = failures("message"), []
    with contained("message", lambda: called.append(True), room="general"):
        raise RuntimeError("nobody foresaw this")
    assert (failures("message"), called) == (before + 1, [True])
    (line,) = caplog.records
    assert (line.levelno, line.exc_info is not None, vars(line)["room"]) == (logging.ERROR, True, "general")
    with contained("message", lambda: called.append(True)):
        pass
    assert (failures("message"), called) == (before + 1, [True])


async def test_a_query_that_fails_is_counted_and_answered() -> None:
    before = failures("query")
    store = cast(Store, None)  # one that is none
    queries = QueryConsumer(store, cast(Publisher, None), "e", frozenset({"gateway"}))
    answer = await queries._answer(b'{"type":"rooms","user":"ann"}', "gateway")
    assert (answer.model_dump()["code"], failures("query")) == ("unavailable", before + 1)


async def test_a_room_to_land_in_that_cannot_be_asked_for_is_counted() -> None:
    before = failures("landing")
    async with default_room(cast(CommandClient, None), "general", "General"):
        for _ in range(3):
            await asyncio.sleep(0)
        assert failures("landing") == before + 1


async def test_whose_task_fails_is_told() -> None:
    told: list[str] = []
    tasks = Tasks("message", lambda: told.append("failed"))

    async def work(fails: bool) -> None:
        await asyncio.sleep(0)
        if fails:
            raise KeyError

    for fails in (False, True):
        tasks.start(work(fails))
    await tasks.done()
    assert told == ["failed"]
    await tasks.done()  # there are none


async def test_tasks_that_are_ended_have_not_failed() -> None:
    told: list[str] = []
    tasks = Tasks("message", lambda: told.append("failed"))
    tasks.start(asyncio.Event().wait())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.done()
    assert told == []


async def cancelled_by_a_library() -> None:
    """End as aiormq ends what waits for a channel that is lost."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


async def returns() -> None:
    """Just end."""


@pytest.mark.parametrize("work", [cancelled_by_a_library, returns])
async def test_what_must_not_end_ends_the_others_of_its_group(work: Any) -> None:
    async def together() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(endless(work()))
            group.create_task(endless(asyncio.Event().wait()))

    with pytest.raises(ExceptionGroup) as raised:
        await together()
    assert [type(error) for error in raised.value.exceptions] == [EndedError]


async def test_what_is_told_to_end_has_not_ended_by_itself() -> None:
    task = asyncio.create_task(endless(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("work", [cancelled_by_a_library, returns])
async def test_a_service_ends_when_one_of_its_tasks_has_however(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of tasks, and whoever looks at exceptions alone, would take a cancellation for an order."""
    ended = asyncio.Event()
    signals: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        signals.append((pid, number))
        ended.set()

    monkeypatch.setattr(os, "kill", kill)
    other = asyncio.create_task(asyncio.sleep(3_600))
    async with asyncio.timeout(10), background(asyncio.create_task(work()), other):
        await ended.wait()
    assert set(signals) == {(os.getpid(), signal.SIGTERM)}
    assert other.cancelled()


async def test_what_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    async def never() -> None:
        raise AssertionError("it was to be ended before")

    work = never()
    tasks = Tasks("message")
    tasks.start(work)
    tasks.cancel()
    await tasks.done()
    await asyncio.sleep(0)  # until it is told to all who want to know
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
