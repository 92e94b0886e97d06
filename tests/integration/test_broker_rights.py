"""What each of the broker's users may do, and may not: tried on a real broker, one cell of the table at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AuthenticationError, ChannelPreconditionFailed, ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource
from conftest import BASE_PORT
from harness.observability import log_lines, until
from harness.rabbitmq_4 import chosen_broker
from warren.broker.consumer import consume as take
from warren.broker.declare import NotDeclared, check_declared, declare
from warren.broker.errors import TopologyMissing
from warren.broker.identity import own_queue
from warren.broker.publisher import Publisher
from warren.contract.topology import (
    BOT_COMMANDS,
    BOT_QUERIES,
    BOT_QUERY_QUEUE,
    BOT_QUEUE,
    CLASSIC_QUERY_QUEUES,
    COMMANDS,
    CONTROL,
    DEAD,
    EVENTS,
    EXCHANGES,
    LIVE,
    PRESENCE,
    QUERIES,
    QUERY_QUEUE,
    QUEUES,
    SHARDS,
    command_queue,
    presence_queue,
    shard_queue,
)
from warren_local.servers import Broker
from warren_local.service import Service
from yarl import URL

WITHIN = 30.0
"""Seconds for an operation; a bound, not an expectation."""
BASE = BASE_PORT + 1_500
FOREIGN = "bot.echo"
"""A queue of somebody else's."""
ROOM_KEY = "ev.7.general"
BUCKET = "ev.7.*"


@pytest.fixture(scope="module")
def node(home: Path) -> Iterator[Broker]:
    """Start a broker of its own, since some of this would disturb services."""
    server = chosen_broker(home / "rights", BASE + 300)
    server.start()
    try:
        asyncio.run(prepare(server.url))
        yield server
    finally:
        server.stop()


async def prepare(operator_url: str) -> None:
    """Declare the topology, a bot's queue, and what older versions did."""
    await declare(operator_url)
    async with await aio_pika.connect(operator_url) as connection:
        for queue in (FOREIGN, *CLASSIC_QUERY_QUEUES):
            await (await connection.channel()).declare_queue(queue, durable=True)


@asynccontextmanager
async def connected(node: Broker, user: str) -> AsyncIterator[AbstractConnection]:
    connection = await aio_pika.connect(node.url_of(user), timeout=WITHIN)
    async with connection:
        yield connection


Operation = Callable[[AbstractConnection, AbstractChannel], Awaitable[object]]


def publish(exchange: str, key: str = "nobody.listens", **properties: object) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        underlay = await channel.get_underlay_channel()
        message = aio_pika.Message(b"{}", **properties)  # type: ignore[arg-type]
        await underlay.basic_publish(b"{}", exchange=exchange, routing_key=key, properties=message.properties)

    return act


def consume(queue: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await take(channel, queue, lambda _: None)

    return act


def get(queue: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(fail=False)

    return act


def purge(queue: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).purge()

    return act


def make_queue(name: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.declare_queue(name, durable=True)

    return act


def make_own_queue(**arguments: str) -> Operation:
    async def act(connection: AbstractConnection, channel: AbstractChannel) -> None:
        made: dict[str, Any] = {name.replace("_", "-"): value for name, value in arguments.items()}
        await channel.declare_queue(own_queue(connection), exclusive=True, auto_delete=True, arguments=made)

    return act


def make_unnamed_queue() -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.declare_queue(exclusive=True, auto_delete=True)

    return act


def make_shard_again() -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.declare_queue(shard_queue(3), durable=True, arguments=command_queue(3).arguments)

    return act


def delete_queue(queue: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.queue_delete(queue, if_unused=False, if_empty=False)

    return act


def bind(queue: str, exchange: str, key: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).bind(exchange, key)

    return act


def bind_own(exchange: str, key: str) -> Operation:
    async def act(connection: AbstractConnection, channel: AbstractChannel) -> None:
        queue = await channel.declare_queue(own_queue(connection), exclusive=True, auto_delete=True)
        await queue.bind(exchange, key)

    return act


def unbind(queue: str, exchange: str, key: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).unbind(exchange, key)

    return act


def make_exchange(name: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT)

    return act


def delete_exchange(name: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        await channel.exchange_delete(name)

    return act


def lead(source: str, destination: str, key: str) -> Operation:
    async def act(_: AbstractConnection, channel: AbstractChannel) -> None:
        target = await channel.get_exchange(destination, ensure=False)
        await target.bind(source, key)
        await target.unbind(source, key)

    return act


USERS = ("gateway", "persistence", "presence")
YES, NO = True, False
# fmt: off
TABLE: dict[str, tuple[Operation, bool, bool, bool]] = {
    #                                                                                         gateway persist. presence
    "publish commands": (publish(COMMANDS),                                                       YES, YES, NO),
    "publish what a bot wants": (publish(BOT_COMMANDS),                                           NO,  NO,  NO),
    "publish what a bot asks": (publish(BOT_QUERIES),                                             NO,  NO,  NO),
    "publish queries": (publish(QUERIES),                                                         YES, NO,  NO),
    "publish an event": (publish(EVENTS, ROOM_KEY),                                               NO,  YES, NO),
    "publish an event under a key of no room": (publish(EVENTS, "ev.7.general.more"),             NO,  NO,  NO),
    "publish an event under a key of no bucket": (publish(EVENTS, "general"),                     NO,  NO,  NO),
    "publish a live event": (publish(LIVE, ROOM_KEY),                                             YES, NO,  YES),
    "publish a live event under a key of no room": (publish(LIVE, "ev.7.#"),                      NO,  NO,  NO),
    "publish presence": (publish(PRESENCE),                                                       YES, NO,  YES),
    "publish control": (publish(CONTROL),                                                         YES, NO,  YES),
    # The default exchange leads to every queue and cannot be narrowed; persistence answers through it.
    "publish to a queue by name": (publish("", FOREIGN),                                          NO,  YES, NO),
    "publish to amq.topic": (publish("amq.topic", ROOM_KEY),                                      NO,  NO,  NO),

    "consume commands": (consume(shard_queue(3)),                                                 NO,  YES, NO),
    "consume what bots want": (consume(BOT_QUEUE),                                                NO,  YES, NO),
    "consume what bots ask": (consume(BOT_QUERY_QUEUE),                                           NO,  YES, NO),
    "consume queries": (consume(QUERY_QUEUE),                                                     NO,  YES, NO),
    "consume queries, of older replicas": (consume(CLASSIC_QUERY_QUEUES[0]),                      NO,  YES, NO),
    "consume what bots ask, of older replicas": (consume(CLASSIC_QUERY_QUEUES[1]),                NO,  YES, NO),
    "consume presence": (consume(presence_queue(3)),                                              NO,  NO,  YES),
    "consume dead letters": (consume(DEAD),                                                       NO,  NO,  NO),
    "consume a bot's queue": (consume(FOREIGN),                                                   NO,  NO,  NO),
    "get a dead letter": (get(DEAD),                                                              NO,  NO,  NO),
    "get a bot's message": (get(FOREIGN),                                                         NO,  NO,  NO),

    # Who may consume may purge: RabbitMQ has one right for both.
    "purge commands": (purge(shard_queue(3)),                                                     NO,  YES, NO),
    "purge what bots want": (purge(BOT_QUEUE),                                                    NO,  YES, NO),
    "purge what bots ask": (purge(BOT_QUERY_QUEUE),                                               NO,  YES, NO),
    "purge queries": (purge(QUERY_QUEUE),                                                         NO,  YES, NO),
    "purge presence": (purge(presence_queue(3)),                                                  NO,  NO,  YES),
    "purge dead letters": (purge(DEAD),                                                           NO,  NO,  NO),
    "purge a bot's queue": (purge(FOREIGN),                                                       NO,  NO,  NO),

    "make a queue of one's own": (make_own_queue(),                                               YES, NO,  YES),
    "make one that dead-letters to commands": (make_own_queue(x_dead_letter_exchange=COMMANDS),   YES, NO,  NO),
    "make one that dead-letters to events": (make_own_queue(x_dead_letter_exchange=EVENTS),       NO,  NO,  NO),
    "make one that dead-letters to any queue": (make_own_queue(x_dead_letter_exchange=""),        NO,  NO,  NO),
    "make a queue the server names": (make_unnamed_queue(),                                       NO,  NO,  NO),
    "make a queue of any name": (make_queue("anything"),                                          NO,  NO,  NO),
    "make a gateway's queue": (make_queue("gateway.durable"),                                     YES, NO,  NO),
    "make a queue called almost like a gateway's": (make_queue("gateway"),                        NO,  NO,  NO),
    "make a bot's queue": (make_queue("bot.other"),                                               NO,  NO,  NO),
    "make a shard again": (make_shard_again(),                                                    NO,  NO,  NO),
    "make a further shard": (make_queue(f"{COMMANDS}.99"),                                        NO,  NO,  NO),
    "make a further shard of presence": (make_queue(f"{PRESENCE}.99"),                            NO,  NO,  NO),
    "delete a shard": (delete_queue(shard_queue(3)),                                              NO,  NO,  NO),
    "delete a shard of presence": (delete_queue(presence_queue(3)),                               NO,  NO,  NO),
    "delete the queue of what bots want": (delete_queue(BOT_QUEUE),                               NO,  NO,  NO),
    "delete the queue of what bots ask": (delete_queue(BOT_QUERY_QUEUE),                          NO,  NO,  NO),
    "delete the queue of queries": (delete_queue(QUERY_QUEUE),                                    NO,  NO,  NO),
    "delete the dead letters": (delete_queue(DEAD),                                               NO,  NO,  NO),
    "delete a bot's queue": (delete_queue(FOREIGN),                                               NO,  NO,  NO),

    "bind one's own to a bucket of events": (bind_own(EVENTS, BUCKET),                            YES, NO,  NO),
    "bind one's own to all events": (bind_own(EVENTS, "#"),                                       NO,  NO,  NO),
    "bind one's own to all buckets": (bind_own(EVENTS, "ev.*.*"),                                 NO,  NO,  NO),
    "bind one's own to a bucket of live events": (bind_own(LIVE, BUCKET),                         YES, NO,  NO),
    "bind one's own to all live events": (bind_own(LIVE, "#"),                                    NO,  NO,  NO),
    "bind one's own to control": (bind_own(CONTROL, ""),                                          YES, NO,  YES),
    "bind one's own to commands": (bind_own(COMMANDS, "shard.03"),                                NO,  NO,  NO),
    "bind one's own to what bots want": (bind_own(BOT_COMMANDS, ""),                              NO,  NO,  NO),
    "bind one's own to what bots ask": (bind_own(BOT_QUERIES, ""),                                NO,  NO,  NO),
    "bind one's own to queries": (bind_own(QUERIES, "query"),                                     NO,  NO,  NO),
    "bind one's own to presence": (bind_own(PRESENCE, "shard.03"),                                NO,  NO,  NO),
    "bind a shard to events": (bind(shard_queue(3), EVENTS, BUCKET),                              NO,  NO,  NO),
    "bind a shard of presence to events": (bind(presence_queue(3), EVENTS, BUCKET),               NO,  NO,  NO),
    "bind the queue of queries to events": (bind(QUERY_QUEUE, EVENTS, BUCKET),                    NO,  NO,  NO),
    "bind the dead letters to events": (bind(DEAD, EVENTS, BUCKET),                               NO,  NO,  NO),
    "bind a bot's queue to events": (bind(FOREIGN, EVENTS, BUCKET),                               NO,  NO,  NO),
    "bind a bot's queue to commands": (bind(FOREIGN, COMMANDS, "shard.03"),                       NO,  NO,  NO),
    "unbind a shard": (unbind(shard_queue(3), COMMANDS, "shard.03"),                              NO,  NO,  NO),
    "unbind a shard of presence": (unbind(presence_queue(3), PRESENCE, "shard.03"),               NO,  NO,  NO),
    "unbind the queue of queries": (unbind(QUERY_QUEUE, QUERIES, "query"),                        NO,  NO,  NO),

    "make an exchange": (make_exchange("warren.other"),                                           NO,  NO,  NO),
    "delete the exchange of commands": (delete_exchange(COMMANDS),                                NO,  NO,  NO),
    "delete the exchange of events": (delete_exchange(EVENTS),                                    NO,  NO,  NO),
    "delete the exchange of control": (delete_exchange(CONTROL),                                  NO,  NO,  NO),
    # Between exchanges RabbitMQ asks for the right to read one and to write the other, and for nothing more.
    "lead all events into control": (lead(EVENTS, CONTROL, "#"),                                  NO,  NO,  NO),
    "lead a bucket of events into control": (lead(EVENTS, CONTROL, BUCKET),                       YES, NO,  NO),
    "lead control into live events": (lead(CONTROL, LIVE, ""),                                    YES, NO,  YES),
    "lead commands into control": (lead(COMMANDS, CONTROL, "shard.03"),                           NO,  NO,  NO),
    "lead what bots want into commands": (lead(BOT_COMMANDS, COMMANDS, "shard.03"),               NO,  NO,  NO),
    "lead live events into events": (lead(LIVE, EVENTS, BUCKET),                                  NO,  NO,  NO),
}
# fmt: on


@pytest.mark.parametrize("operation", TABLE)
@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_do_what_its_service_needs_and_no_more(node: Broker, user: str, operation: str) -> None:
    act, *cells = TABLE[operation]
    async with connected(node, user) as connection, asyncio.timeout(WITHIN):
        channel = await connection.channel(on_return_raises=False)
        if cells[USERS.index(user)]:
            await act(connection, channel)
        else:
            with pytest.raises(ChannelAccessRefused):
                await act(connection, channel)


def test_the_table_has_every_exchange_and_queue() -> None:
    """A name that is added to the topology needs its cells."""
    assert {exchange.name for exchange in EXCHANGES} == {
        COMMANDS,
        BOT_COMMANDS,
        BOT_QUERIES,
        QUERIES,
        EVENTS,
        LIVE,
        PRESENCE,
        CONTROL,
    }
    shards = {name(number) for name in (shard_queue, presence_queue) for number in range(SHARDS)}
    assert {queue.name for queue in QUEUES} == shards | {BOT_QUEUE, BOT_QUERY_QUEUE, QUERY_QUEUE, DEAD}


@pytest.mark.parametrize("user", ["guest", "operator", "nobody"])
async def test_nobody_gets_in_without_the_password(node: Broker, user: str) -> None:
    url = node.url_of("operator")
    stranger = url.replace(url.split("//")[1].split("@", maxsplit=1)[0], f"{user}:guest")
    # Closed here: one that never came to be would be closed by whichever garbage collection finds it, in any test.
    async with aio_pika.Connection(URL(stranger)) as connection:
        with pytest.raises((AuthenticationError, ProbableAuthenticationError)):
            await connection.connect(timeout=WITHIN)


ALLOWED = {"gateway": COMMANDS, "persistence": COMMANDS, "presence": CONTROL}


@pytest.mark.parametrize("user", ALLOWED)
async def test_nobody_but_the_operator_speaks_in_anothers_name(node: Broker, user: str) -> None:
    async with connected(node, user) as connection, asyncio.timeout(WITHIN):
        channel = await connection.channel(on_return_raises=False)
        for other in {*ALLOWED, "operator", "guest", "bot.echo"} - {user}:
            channel = await connection.channel(on_return_raises=False)
            with pytest.raises(ChannelPreconditionFailed, match="user_id"):
                await publish(ALLOWED[user], user_id=other)(connection, channel)
        channel = await connection.channel(on_return_raises=False)
        await publish(ALLOWED[user], user_id=user)(connection, channel)
        # Without a name a message passes: whoever judges by it has to refuse those that have none.
        await publish(ALLOWED[user])(connection, channel)


@pytest.mark.parametrize("confirm", [True, False])
async def test_a_publisher_says_whose_its_messages_are(node: Broker, confirm: bool) -> None:
    publisher = Publisher(confirm=confirm)
    async with connected(node, "operator") as operator, connected(node, "gateway") as gateway:
        channel = await operator.channel()
        queue = await channel.declare_queue("published", exclusive=True)
        await queue.bind(COMMANDS, "published")
        serving = asyncio.create_task(publisher.serve(gateway))
        await publisher.publish(COMMANDS, "published", b"x", correlation_id="c")
        async with asyncio.timeout(WITHIN), queue.iterator() as messages:
            message = await anext(messages)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert (message.user_id, message.correlation_id) == ("gateway", "c")


async def test_one_gateway_cannot_touch_anothers_queue(node: Broker) -> None:
    async with connected(node, "gateway") as one, connected(node, "gateway") as other, asyncio.timeout(WITHIN):
        mine = await (await one.channel()).declare_queue(own_queue(one), exclusive=True, auto_delete=True)
        for act in (consume(mine.name), get(mine.name), purge(mine.name), delete_queue(mine.name),
                    bind(mine.name, EVENTS, BUCKET)):  # fmt: skip
            with pytest.raises(ChannelLockedResource):
                await act(other, await other.channel())


@pytest.mark.parametrize("user", USERS)
async def test_only_the_operator_declares_the_topology(node: Broker, user: str) -> None:
    with pytest.raises(NotDeclared, match=f"{user} may not declare it, the operator may"):
        await declare(node.url_of(user))
    await declare(node.url)


async def test_a_queue_that_is_another_is_an_error_with_its_name(node: Broker) -> None:
    async with connected(node, "operator") as connection:
        channel = await connection.channel()
        await channel.queue_delete(QUERY_QUEUE)
        queue = await channel.declare_queue(QUERY_QUEUE, durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"x"), QUERY_QUEUE)
        with pytest.raises(NotDeclared, match=rf"another of the same name.*{QUERY_QUEUE}"):
            await declare(node.url)
        await queue.purge()
    await declare(node.url)  # one that is empty makes way


async def test_a_service_misses_only_the_exchanges_that_it_uses(node: Broker) -> None:
    async with connected(node, "operator") as connection:
        await (await connection.channel()).exchange_delete(LIVE)
    for user in ("gateway", "presence"):
        async with connected(node, user) as connection:
            with pytest.raises(TopologyMissing, match=LIVE):
                await check_declared(connection)
    async with connected(node, "persistence") as connection:
        await check_declared(connection)
    await declare(node.url)
    for user in (*USERS, "operator"):
        async with connected(node, user) as connection:
            await check_declared(connection)


async def test_a_service_that_finds_no_topology_says_what_to_do_and_works_once_it_is_done(
    node: Broker, home: Path
) -> None:
    async with connected(node, "operator") as connection:
        await (await connection.channel()).exchange_delete(CONTROL)
    log = home / "rights" / "logs" / "presence-1.log"
    env = {"WARREN_AMQP_URL": node.url_of("presence")}
    with Service("presence-1", "warren_presence", env, BASE + 201, log, home=home / "rights") as presence:
        await asyncio.to_thread(until, lambda: bool(log_lines(log, "python -m warren.broker declare")))
        assert not presence.answers()
        await declare(node.url)
        await asyncio.to_thread(presence.wait_ready)


async def test_the_topology_and_the_users_survive_a_restart(node: Broker) -> None:
    # In order: RabbitMQ 3 writes what was declared within some two seconds, and this may have been just now.
    await asyncio.to_thread(node.stop)
    await asyncio.to_thread(node.start)
    for user in (*USERS, "operator"):
        async with connected(node, user) as connection:
            await check_declared(connection)
    async with connected(node, "operator") as connection:  # RabbitMQ 4.3 lets nobody else look at all of them
        channel = await connection.channel()
        for queue in QUEUES:
            await channel.get_queue(queue.name, ensure=True)
