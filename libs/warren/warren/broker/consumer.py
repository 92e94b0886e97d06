"""Consuming in order, and stopping so that the order holds for the next consumer."""

from collections.abc import Callable
from typing import Any

from aio_pika.abc import AbstractChannel as PikaChannel
from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import AbstractChannel, DeliveredMessage

from warren.broker.identity import own_queue

DECLARE_TIMEOUT = 10.0
"""Seconds."""

Sink = Callable[[DeliveredMessage], None]


async def open_channel(connection: AbstractConnection, prefetch: int) -> PikaChannel:
    """Return an open channel without confirms; `prefetch` bounds what is delivered and not yet acked."""
    channel = connection.channel(publisher_confirms=False)
    await channel.initialize()
    await channel.set_qos(prefetch_count=prefetch)
    return channel


async def declare_own_queue(connection: AbstractConnection, channel: PikaChannel, length: int) -> AbstractQueue:
    """Declare a queue that is the connection's alone and ends with it; of more than `length` messages the oldest go."""
    return await channel.declare_queue(
        own_queue(connection),
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": length, "x-overflow": "drop-head"},
        timeout=DECLARE_TIMEOUT,
    )


async def consume(
    channel: PikaChannel,
    queue: str,
    sink: Sink,
    *,
    exclusive: bool = False,
    no_ack: bool = False,
    arguments: dict[str, Any] | None = None,
) -> None:
    """Hand every delivery to `sink`, in order, until the channel is closed; closing it is the way to stop.

    `sink` is synchronous because aiormq runs the callback as a task a message: order holds only for what happens
    before the first await. A `basic.cancel` would leave the unacked messages behind while the next consumer starts;
    a closed channel gives them back first. The broker's own cancel (the queue is gone) closes the channel too.
    """
    underlay = await channel.get_underlay_channel()

    async def callback(message: DeliveredMessage) -> None:
        sink(message)

    async def cancelled(_: Any) -> None:
        await channel.close()

    underlay.on_consumer_cancel_callbacks.add(cancelled)
    await underlay.basic_consume(queue, callback, exclusive=exclusive, no_ack=no_ack, arguments=arguments)


async def ack_through(channel: AbstractChannel, tag: int) -> None:
    """Acknowledge every delivery of the channel up to `tag`, without waiting for the socket."""
    await channel.basic_ack(tag, multiple=True, wait=False)
