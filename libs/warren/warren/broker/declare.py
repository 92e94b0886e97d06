"""Makes the topology that `warren.contract.topology` describes."""

from aio_pika.abc import AbstractConnection

from warren.contract.topology import EXCHANGES, QUEUES

TIMEOUT = 30.0
"""Seconds for one declaration: a cluster that is electing leaders takes its time."""


async def declare_all(connection: AbstractConnection) -> None:
    """Declare every exchange and queue (idempotent), on a channel of its own since a conflict closes the channel."""
    channel = connection.channel()
    await channel.initialize()
    try:
        for exchange in EXCHANGES:
            await channel.declare_exchange(exchange.name, exchange.kind, durable=True, timeout=TIMEOUT)
        for queue in QUEUES:
            declared = await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT)
            if queue.exchange is not None:
                await declared.bind(queue.exchange, queue.key, timeout=TIMEOUT)
    finally:
        await channel.close()
