"""Makes the topology that `warren.contract.topology` describes, and looks whether it is there."""

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from warren.broker.connect import connected
from warren.broker.errors import TopologyMissing, translated
from warren.broker.identity import login
from warren.contract.topology import EXCHANGES, QUEUES, Queue
from warren.contract.users import OPERATOR, broker_user

TIMEOUT = 30.0
"""Seconds for one declaration: a cluster that is electing leaders takes its time."""


class NotDeclared(Exception):
    """The topology could not be made, and trying again will not help; the message says why."""


async def declare(url: str) -> None:
    """Connect as the operator and declare everything. Raises NotDeclared, or Unavailable when there is no broker."""
    with translated():
        async with connected(url, OPERATOR.name) as connection:
            try:
                await declare_all(connection)
            except ChannelAccessRefused as error:
                raise NotDeclared(f"{login(connection)} may not declare it, the operator may: {error}") from error
            except ChannelPreconditionFailed as error:
                raise NotDeclared(f"there is another of the same name (drain and delete it first): {error}") from error


async def declare_all(connection: AbstractConnection) -> None:
    """Declare every exchange and queue (idempotent), on a channel of its own since a conflict closes the channel.

    Queues go first, so that whoever finds the exchanges may count on the queues.
    """
    channel = connection.channel()
    await channel.initialize()
    try:
        queues = [await declare_queue(channel, queue) for queue in QUEUES]
        for exchange in EXCHANGES:
            await channel.declare_exchange(exchange.name, exchange.kind, durable=True, timeout=TIMEOUT)
        for queue, declared in zip(QUEUES, queues, strict=True):
            if queue.exchange is not None:
                for key in (queue.key, *queue.further):
                    await declared.bind(queue.exchange, key, timeout=TIMEOUT)
    finally:
        await channel.close()


async def declare_queue(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Declare a queue; one of an older version that nobody uses and nothing lies in makes way."""
    try:
        return await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT)
    except ChannelPreconditionFailed:
        await channel.reopen()
        found = (await channel.declare_queue(queue.name, passive=True, timeout=TIMEOUT)).declaration_result
        if found.message_count or found.consumer_count:
            raise
    await channel.queue_delete(queue.name, timeout=TIMEOUT)
    return await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT)


async def check_declared(connection: AbstractConnection) -> None:
    """Return if the exchanges that the connection's user has rights to exist. Raises TopologyMissing.

    Only those, because newer RabbitMQ (4.2.7, 4.3.1) answers a passive declaration only to whoever has some right to
    the name; a refusal tells nothing and is left to whatever needs the right. Queues are left to their consumers:
    asking for one that has no leader takes long, and one shard is not all.
    """
    user = broker_user(login(connection))
    channel = connection.channel()
    await channel.initialize()
    try:
        for exchange in EXCHANGES:
            if user is None or user.reaches(exchange.name):
                await channel.get_exchange(exchange.name, ensure=True)
    except ChannelNotFoundEntity as error:
        raise TopologyMissing(str(error)) from error
    except ChannelAccessRefused:
        return
    finally:
        await channel.close()
