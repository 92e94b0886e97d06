"""Consuming in order, and stopping so that the order holds for the next consumer."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from aio_pika.abc import AbstractChannel as PikaChannel
from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPChannelError

from warren.broker.backoff import raise_if_cancelled
from warren.broker.connect import patience
from warren.broker.errors import Unavailable, Unresponsive, translated
from warren.broker.identity import own_queue
from warren.broker.standstill import answer_within
from warren.supervise import contained, failed

log = logging.getLogger(__name__)

CONSUME_TIMEOUT = 5.0
"""Seconds until a queue gives its messages: those of a node that has ended are about to be led by another one."""
OWN_QUEUE_BYTES = 64 * 1024 * 1024
"""What may wait in a process's own queue: a message may be as large as 128 KiB, and the node keeps them in memory."""
CHECK_EVERY = 2.0
"""Seconds between looks at whether a queue of one's own is still there."""

ACK_TOGETHER = 8
"""Deliveries that are acknowledged at once, as one: half the smallest prefetch of those that acknowledge so."""
ACK_WITHIN = 0.1
"""Seconds after which fewer are, too."""
FLUSH_WITHIN = 1.0
"""Seconds for what is due to be said before a channel is closed; without that it is delivered again."""

ENDED = "a consumer was ended by the broker"
Sink = Callable[[DeliveredMessage], None]

_closing: WeakSet[AbstractChannel] = WeakSet()
"""Channels that were told to close. Whoever says anything more on one of these loses the whole connection."""


async def open_channel(connection: AbstractConnection, prefetch: int) -> PikaChannel:
    """Return an open channel without confirms; `prefetch` bounds what is delivered and not yet acked."""
    channel = connection.channel(publisher_confirms=False)
    await open_in_time(connection, channel)
    await channel.set_qos(prefetch_count=prefetch, timeout=patience(connection))
    return channel


async def open_in_time(connection: AbstractConnection, channel: PikaChannel) -> None:
    """Open a channel. Raises TimeoutError.

    When its socket is congested, aiormq forgets to confirm that the broker has closed a channel. The broker then passes
    over what comes with that number, until aiormq closes it, too. (aio-pika does not heed its own timeout here.)
    """
    async with asyncio.timeout(patience(connection)):
        await channel.initialize()


def is_open(channel: AbstractChannel) -> bool:
    """Whether deliveries of the channel are still ours, to be acknowledged on it."""
    return not (channel.is_closed or channel in _closing)


async def until_closed(channel: PikaChannel) -> None:
    """Wait until the channel is closed; not if this task was told to end while it was opened."""
    raise_if_cancelled()
    await channel.closed()


async def until_gone(channel: PikaChannel, queue: AbstractQueue) -> None:
    """Wait until the channel is closed. Raises Unavailable when its queue is gone.

    A node that was cut off from the others deletes the queues of their clients when it is back: RabbitMQ 4.3 takes them
    for leftovers of nodes that were down. It tells nobody, and the connections go on.
    """
    raise_if_cancelled()
    closed = asyncio.ensure_future(channel.closed())
    try:
        while not closed.done():
            await asyncio.wait({closed}, timeout=CHECK_EVERY)
            if not closed.done():
                with translated():
                    look = channel.declare_queue(queue.name, passive=True)
                    if await answer_within(look, CONSUME_TIMEOUT) is None:
                        raise Unresponsive(f"not known in {CONSUME_TIMEOUT} s whether a queue is there")
    finally:
        closed.cancel()


async def close(channel: PikaChannel) -> None:
    """Give back what was delivered on the channel; nobody acknowledges anything on it from now on."""
    with contextlib.suppress(Unavailable), translated():
        _closing.add(await channel.get_underlay_channel())
        await channel.close()


async def declare_own_queue(connection: AbstractConnection, channel: PikaChannel, length: int) -> AbstractQueue:
    """Declare a queue that is the connection's alone and ends with it.

    Of more than `length` messages, or OWN_QUEUE_BYTES of them, the oldest go.
    """
    return await channel.declare_queue(
        own_queue(connection),
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": length, "x-max-length-bytes": OWN_QUEUE_BYTES, "x-overflow": "drop-head"},
        timeout=patience(connection),
    )


async def consume(
    channel: PikaChannel,
    queue: str,
    sink: Sink,
    *,
    exclusive: bool = False,
    no_ack: bool = False,
    arguments: dict[str, Any] | None = None,
    within: float = CONSUME_TIMEOUT,
) -> str:
    """Hand every delivery to `sink`, in order, until the channel is closed; return the consumer's tag.

    Closing the channel is the way to stop where the order matters.

    `sink` is synchronous because aiormq runs the callback as a task a message: order holds only for what happens
    before the first await. A `basic.cancel` would leave the unacked messages behind while the next consumer starts;
    a closed channel gives them back first. The broker's own cancel (the queue is gone, or a delivery was held for
    longer than its `consumer_timeout`) closes the channel too.

    `within`: seconds for the queue to have a leader. One that waits for it when it is elected may hear of it later than
    one that asks then.

    What `sink` cannot take is passed over with a line in the log: what is acknowledged after it covers it.
    """
    underlay = await channel.get_underlay_channel()

    async def callback(message: DeliveredMessage) -> None:
        try:
            sink(message)
        except Exception as error:
            failed("message", error, queue=queue, exchange=message.exchange)

    ending: list[asyncio.Task[None]] = []

    async def cancelled(_: Any) -> None:
        log.warning(ENDED, extra={"queue": queue, "reason": "cancelled: it is gone, or a delivery was held too long"})
        # Beside this: aiormq reads nothing from the channel until this returns, not even that it is closed.
        ending.append(asyncio.create_task(close(channel)))

    def closed(_: object, error: BaseException | None) -> None:
        if isinstance(error, AMQPChannelError) and any(error.args):  # else it was our wish, or the connection is lost
            log.warning(ENDED, extra={"queue": queue, "reason": str(error)})

    underlay.on_consumer_cancel_callbacks.add(cancelled)
    consumer = await underlay.basic_consume(
        queue, callback, exclusive=exclusive, no_ack=no_ack, arguments=arguments, timeout=within
    )
    channel.close_callbacks.add(closed)
    return str(consumer.consumer_tag)


class Acks:
    """Acknowledges a channel's deliveries in order, for those who cannot wait for the socket.

    One acknowledgement at a time: of two that wait for the socket, the later may get through first, and the broker
    closes a channel on which a delivery is acknowledged that already is. One for several deliveries: to a quorum queue
    each is a command of its log, as costly as a message.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._due = 0
        self._done = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def through(self, tag: int) -> None:
        """Acknowledge every delivery up to `tag`, soon; what is lost with the channel is delivered again."""
        self._due = max(self._due, tag)
        if self._due - self._done >= ACK_TOGETHER:
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACK_WITHIN, self._start)

    async def flush(self) -> None:
        """Acknowledge what is due now; for whoever is about to close the channel."""
        self._start()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=FLUSH_WITHIN)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        with contained("acknowledgement"), contextlib.suppress(Unavailable), translated():
            while self._done < self._due and is_open(self.channel):
                tag = self._due
                await self.channel.basic_ack(tag, multiple=True, wait=False)
                self._done = tag
