"""A connection that is kept open outlives whatever stands at the other end, and ends when it is told to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import get_args

import pytest
from aio_pika.abc import AbstractConnection
from harness.fake_broker import FakeBroker, Fault
from pamqp import commands as spec
from pamqp.base import Frame
from warren.broker import consumer
from warren.broker import nodes as nodes_module
from warren.broker.command_client import CommandClient, by_shard
from warren.broker.connect import connect, drop
from warren.broker.errors import NoMajority, translated
from warren.broker.majority import watch_majority
from warren.broker.nodes import Nodes
from warren.broker.publisher import Publisher, lane
from warren.broker.reply_queue import ReplyQueue
from warren.broker.rpc_client import RpcClient
from warren.broker.shards import Shards
from warren.broker.supervised_connection import SupervisedConnection
from warren.contract.topology import COMMANDS, SHARDS, shard_key

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
PATIENCE = 0.3
FAULTS: tuple[Fault, ...] = get_args(Fault)
SET_UP = 12
"""Answers until all that is tried here is set up."""
Serve = Callable[[AbstractConnection], Awaitable[None]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a refused connection waits for, somebody who changes something, does not come here."""
    monkeypatch.setattr(nodes_module, "REFUSED_EVERY", PATIENCE)
    defaults = consumer.consume.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "within", PATIENCE)  # to set CONSUME_TIMEOUT now would change nothing


def nodes_of(urls: str) -> Nodes:
    nodes = Nodes(urls)
    nodes.patience = PATIENCE
    return nodes


def link(urls: str, serve: Serve) -> SupervisedConnection:
    return SupervisedConnection(nodes_of(urls), "test", serve)


async def end(task: asyncio.Task[None]) -> None:
    """End a link's task, which has not ended by itself."""
    assert not task.done(), task.exception()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=WITHIN)
    assert done
    assert task.cancelled()


def reply_queue() -> Serve:
    publisher = Publisher()
    return ReplyQueue(CommandClient(publisher, by_shard), RpcClient(publisher)).serve


def shards() -> Serve:
    return Shards("test", str, 1, lambda *_: None, lambda _: None, count=2).serve


SERVES: dict[str, Callable[[], Serve]] = {
    "publisher": lambda: Publisher().serve,
    "reply_queue": reply_queue,
    "shards": shards,
}


async def tried_again(serve: Serve, fault: Fault, answers: int) -> None:
    async with FakeBroker(fault, answers).running() as peer:
        task = asyncio.create_task(link(peer.url, serve).run())
        try:
            await peer.visited(2)
        finally:
            await end(task)


@pytest.mark.parametrize("serve", SERVES)
async def test_nothing_that_a_peer_does_ends_it(serve: str) -> None:
    """Whatever befalls the peer at whatever point of all that is set up, it is tried again."""
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        for fault in FAULTS[1:]:  # but refusals, of which the peer knows nothing
            for answers in range(SET_UP):
                name = f"{fault} after {answers} answers"
                group.create_task(tried_again(SERVES[serve](), fault, answers), name=name)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("answers", [0, 4, 8])
async def test_a_node_that_does_not_work_is_left_for_one_that_does(fault: Fault, answers: int) -> None:
    """Also if it took the connection, and the login: it is what it does then that counts."""
    publisher = Publisher()
    async with asyncio.timeout(WITHIN), AsyncExitStack() as exits:
        bad = [await exits.enter_async_context(FakeBroker(fault, answers).running()) for _ in range(2)]
        good = await exits.enter_async_context(FakeBroker().running())
        task = asyncio.create_task(link(",".join(peer.url for peer in (*bad, good)), publisher.serve).run())
        await good.visited(1)
        await publisher.publish("", "", b"x")
        await end(task)


@pytest.mark.parametrize("serve", ["reply_queue", "shards"])
@pytest.mark.parametrize("deaf", [spec.Queue.Declare, spec.Basic.Consume, spec.Basic.Qos])
async def test_what_is_never_answered_is_asked_again(serve: str, deaf: type[Frame]) -> None:
    """Everything else is answered, so that the connection looks as if all were well."""
    async with asyncio.timeout(WITHIN), FakeBroker().running() as peer:
        peer.deaf = {deaf}
        task = asyncio.create_task(link(peer.url, SERVES[serve]()).run())
        if not (serve == "shards" and deaf is spec.Queue.Declare):  # which it has no part in
            await peer.visited(1, asked=4, kind=deaf)
        await end(task)


async def test_a_node_without_a_majority_is_left_by_all_connections() -> None:
    """One of them finds out. The node answers all of them, and has for long: none of them would go by itself."""
    async with asyncio.timeout(WITHIN), FakeBroker().running() as bad, FakeBroker().running() as good:
        nodes = nodes_of(f"{bad.url},{good.url}")
        nodes.patience = 4 * PATIENCE  # long enough for a few knocks
        nodes.all.sort(key=lambda node: node.url != bad.url)
        links = [
            SupervisedConnection(nodes, "asks", Publisher().serve, lambda shard: ("warren.presence", str(shard))),
            SupervisedConnection(nodes, "does not", reply_queue()),
        ]
        tasks = [asyncio.create_task(one.run()) for one in links]
        await bad.visited(2, asked=4)
        assert good.came == 0
        bad.confirms = False
        await good.visited(2, asked=4)
        assert (bad.came, good.came) == (2, 2)
        for task in tasks:
            await end(task)


async def test_the_patience_with_elections_ends_with_them() -> None:
    """Who connected during one had three times as much for as long as the connection lasted."""
    patience = 1_000.0
    async with asyncio.timeout(WITHIN), FakeBroker().running() as peer:
        connection = await connect(peer.url, "test", 10.0)
        open_dead_letters = asyncio.create_task(
            watch_majority(connection, lambda shard: ("warren.presence", str(shard)), "test", lambda: patience)
        )
        await peer.visited(1, asked=1, kind=spec.Basic.Publish)
        peer.confirms, patience = False, PATIENCE
        with pytest.raises(NoMajority), translated():
            await open_dead_letters
        drop(connection)


async def test_a_node_that_works_is_kept() -> None:
    async with asyncio.timeout(WITHIN), FakeBroker().running() as peer:
        task = asyncio.create_task(link(peer.url, Publisher().serve).run())
        await peer.visited(1, asked=3)
        assert peer.came == 1
        await end(task)


async def test_a_cancellation_that_a_library_loses_ends_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real connection can be made to lose one on purpose, so this one stands in for it."""
    trying = asyncio.Event()

    async def connect(*_: object, **__: object) -> AbstractConnection:
        trying.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("lost") from None
        raise AssertionError

    async def serve(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("aio_pika.Connection.connect", connect)
    task = asyncio.create_task(link("amqp://127.0.0.1:1/", serve).run())
    await trying.wait()
    await end(task)


def test_no_shards_commands_are_behind_anothers() -> None:
    assert len({lane(COMMANDS, shard_key(number), SHARDS) for number in range(SHARDS)}) == SHARDS
