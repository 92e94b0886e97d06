"""Publishing with confirms, timeouts and a bounded window."""

import asyncio
from typing import Any, cast
from zlib import crc32

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from warren.broker.backoff import raise_if_cancelled
from warren.broker.consumer import open_in_time
from warren.broker.errors import Unavailable, translated
from warren.broker.identity import login
from warren.broker.tracing import sending

PERSISTENT = 2


def lane(exchange: str, key: str, count: int) -> int:
    """Return which of so many channels takes what goes there; no two shards share one of as many as there are."""
    return crc32(f"{exchange} {key}".encode()) % count


class Publisher:
    """Publishes on whatever channel is attached at the moment.

    With `confirm` a publish returns when the broker has taken responsibility (publisher confirm); without, when
    the message is on its way. `window`: publishes under way at once; `timeout`: seconds for each, waiting included.
    Every message says whose it is (`user_id`): the broker refuses any name but the connection's own.
    """

    def __init__(self, *, confirm: bool = True, window: int = 256, timeout: float = 5.0, channels: int = 1) -> None:
        """`channels`: what goes to one exchange with one key keeps to one of so many.

        RabbitMQ has a channel wait for the leader of a queue that it publishes to for the first time, and all that
        comes after it on that channel wait, too: a queue without a leader held up those of all other shards.
        """
        self._confirm = confirm
        self._timeout = timeout
        self._window = asyncio.Semaphore(window)
        self._attached = asyncio.Event()
        self._count = channels
        self._channels: list[Channel] = []
        self._login: str | None = None
        self._waiting = 0
        """Publishes that wait for something; who comes later does not overtake them."""

    async def serve(self, connection: AbstractConnection) -> None:
        """Publish on channels of this connection until one of them closes, then raise Unavailable."""
        opened = [await self._open(connection) for _ in range(self._count)]
        self._channels = [cast(Channel, await channel.get_underlay_channel()) for channel in opened]
        self._login = login(connection)
        self._attached.set()
        raise_if_cancelled()
        closed = [asyncio.ensure_future(channel.closed()) for channel in opened]
        try:
            await asyncio.wait(closed, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._attached.clear()
            self._channels = []
            for one in closed:
                one.cancel()
        raise Unavailable("channel closed")

    async def _open(self, connection: AbstractConnection) -> AbstractChannel:
        channel = connection.channel(publisher_confirms=self._confirm, on_return_raises=self._confirm)
        await open_in_time(connection, channel)
        return channel

    async def publish(
        self, exchange: str, key: str, body: bytes, *, mandatory: bool = False, **properties: Any
    ) -> None:
        """Publish one message; `properties` are AMQP's (`correlation_id`, `reply_to`, `headers`, `expiration` …).

        `mandatory`: a message that no queue takes is Unroutable; only with `confirm` does anybody hear of it. Raises
        Unavailable.
        """
        with translated(), sending(exchange, key, properties) as traced:
            described = Basic.Properties(user_id=self._login, **traced)
            if not self._put(exchange, key, body, described):
                await self._wait_and_publish(exchange, key, body, mandatory, described)

    def _put(self, exchange: str, key: str, body: bytes, properties: Basic.Properties) -> bool:
        """Give a message to the connection's writer; False if there is something to wait for, if only its confirm.

        What waits for nothing needs no timeout, lock or task's turn, which are most of what a lone message costs.
        """
        if self._confirm or self._waiting or not self._channels:
            return False
        channel = self._channels[lane(exchange, key, len(self._channels))]
        if channel.is_closed or channel.write_queue.full() or not 0 < len(body) < channel.max_content_size:
            return False
        header = ContentHeader(properties=properties, body_size=len(body))
        frames = (Basic.Publish(exchange=exchange, routing_key=key), header, ContentBody(body))
        channel.write_queue.put_nowait(ChannelFrame.marshall(channel.number, frames))
        return True

    async def _wait_and_publish(
        self, exchange: str, key: str, body: bytes, mandatory: bool, properties: Basic.Properties
    ) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout), self._window:
                await self._attached.wait()
                await self._publish(exchange, key, body, mandatory, properties)
        finally:
            self._waiting -= 1

    async def _publish(
        self, exchange: str, key: str, body: bytes, mandatory: bool, properties: Basic.Properties
    ) -> None:
        if not self._channels:
            raise ConnectionError("channel lost")
        channel = self._channels[lane(exchange, key, len(self._channels))]
        properties.user_id = self._login  # who that is may have become known only now
        await channel.basic_publish(
            body, exchange=exchange, routing_key=key, properties=properties, mandatory=mandatory, wait=False
        )
