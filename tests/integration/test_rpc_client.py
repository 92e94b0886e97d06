"""Queries that get lost, or whose answers do, are asked once more: as when a node of the broker dies with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from harness.background import background_tasks
from harness.broker_client import WITHIN
from warren.broker.command_client import CommandClient, by_shard
from warren.broker.errors import Unroutable
from warren.broker.publisher import Publisher
from warren.broker.reply_queue import ReplyQueue
from warren.broker.rpc_client import RpcClient
from warren.contract.queries import QUERY_TYPES, Directory, DirectoryPage
from warren.contract.topology import QUERY_KEY
from warren.contract.wire import Wire

EXCHANGE = "test.asker"
ANSWER = DirectoryPage(rooms=[], more=False)


async def queue_of(connection: AbstractConnection, *keys: str) -> "asyncio.Queue[AbstractIncomingMessage]":
    """Return what comes to a queue of the test's exchange that is bound with these keys."""
    found: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    channel = await connection.channel()
    await channel.declare_exchange(EXCHANGE, "direct", auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    for key in keys:
        await queue.bind(EXCHANGE, key)
    await queue.consume(found.put, no_ack=True)
    return found


@pytest.fixture
async def came(operator: AbstractConnection) -> "asyncio.Queue[AbstractIncomingMessage]":
    """Return the queries that come to an exchange of the test's own, which nobody answers but the test."""
    return await queue_of(operator, QUERY_KEY)


@asynccontextmanager
async def asking(connection: AbstractConnection) -> AsyncIterator[RpcClient]:
    """Return somebody who asks on the test's exchange."""
    publisher, confirmed = Publisher(confirm=False), Publisher()
    rpc = RpcClient(publisher, EXCHANGE, confirmed)
    answers = ReplyQueue(CommandClient(publisher, by_shard), rpc)
    async with (
        background_tasks(publisher.serve(connection), confirmed.serve(connection)),
        served(connection, answers),
    ):
        yield rpc


class Search(Wire):
    """A query that another service than persistence answers."""

    type: Literal["test.search"] = "test.search"


@asynccontextmanager
async def served(connection: AbstractConnection, reply_queue: ReplyQueue) -> AsyncIterator[None]:
    """Let answers come on this connection meanwhile."""
    opened = asyncio.Event()
    serving = asyncio.create_task(reply_queue.serve(connection, opened.set))
    try:
        await opened.wait()
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def answer(connection: AbstractConnection, query: AbstractIncomingMessage) -> None:
    assert query.reply_to is not None
    message = aio_pika.Message(ANSWER.model_dump_json().encode(), correlation_id=query.correlation_id, type="answer")
    await (await connection.channel()).default_exchange.publish(message, query.reply_to)


@pytest.mark.parametrize("lost", ["query", "reply_queue"])
async def test_what_got_lost_is_asked_once_more(
    operator: AbstractConnection, came: "asyncio.Queue[AbstractIncomingMessage]", lost: str
) -> None:
    publisher = Publisher(confirm=False)
    rpc = RpcClient(publisher, EXCHANGE)
    reply_queue = ReplyQueue(CommandClient(publisher, by_shard), rpc)
    publishing = asyncio.create_task(publisher.serve(operator))
    try:
        async with asyncio.timeout(WITHIN):
            async with served(operator, reply_queue):
                asking = asyncio.create_task(rpc.ask(Directory(), DirectoryPage))
                first = await came.get()
                if lost == "query":
                    await answer(operator, await came.get())
                    assert await asking == ANSWER
                    return
            assert rpc.reply_to is None
            async with served(operator, reply_queue):
                again = await came.get()
                assert again.reply_to not in (None, first.reply_to)
                await answer(operator, again)
                assert await asking == ANSWER
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


@pytest.mark.parametrize("keys", [(QUERY_KEY,), ("directory",), (QUERY_KEY, *QUERY_TYPES)])
async def test_a_query_comes_once_whether_or_not_its_type_is_declared(
    operator: AbstractConnection, keys: tuple[str, ...]
) -> None:
    came = await queue_of(operator, *keys)
    async with asyncio.timeout(WITHIN), asking(operator) as rpc:
        for _ in range(2):
            question = asyncio.create_task(rpc.ask(Directory(), DirectoryPage))
            query = await came.get()
            assert (query.routing_key, query.headers) == ("directory", {})
            await answer(operator, query)
            assert await question == ANSWER
        assert came.empty()


async def test_a_query_of_another_service_comes_to_its_queue_alone(operator: AbstractConnection) -> None:
    ours, theirs = await queue_of(operator, QUERY_KEY, *QUERY_TYPES), await queue_of(operator, "test.search")
    async with asyncio.timeout(WITHIN), asking(operator) as rpc:
        question = asyncio.create_task(rpc.ask(Search(), DirectoryPage))
        await answer(operator, await theirs.get())
        assert await question == ANSWER
        assert ours.empty()


async def test_a_query_that_no_queue_takes_is_unavailable_at_once(operator: AbstractConnection) -> None:
    """It is not waited for and asked again, as an answer is: the broker says so."""
    ours = await queue_of(operator, QUERY_KEY, *QUERY_TYPES)
    async with asyncio.timeout(WITHIN), asking(operator) as rpc:
        with pytest.raises(Unroutable, match=f"no queue takes what is asked as {Search().type}"):
            await rpc.ask(Search(), DirectoryPage)
        assert ours.empty()
