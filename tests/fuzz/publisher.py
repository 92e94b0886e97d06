"""Publishes to the broker as one of its users, also what that user must not publish."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.channel import Channel
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from warren.broker.identity import login, own_queue

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
LOST = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.AMQPException,
    ConnectionError,
    RuntimeError,
    asyncio.CancelledError,
)
UNENCODABLE = (PAMQPException, TypeError, ValueError, OverflowError)
"""What the client library itself does not put on the wire."""


class Publisher:
    """Publishes whatever it is told to; what the broker refuses costs the connection, and it has another.

    `reply_queue`: what a queue of its own could be called; it reads no answers. `taken`: how much the broker has taken.
    """

    def __init__(self, url: str, connection: AbstractConnection) -> None:
        self.user = login(connection)
        self.reply_queue = own_queue(connection)
        self.taken = 0
        self._url = url
        self._connection: AbstractConnection | None = connection
        self._channel: Channel | None = None
        self._lock = asyncio.Lock()

    async def say(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        """Publish, if it can be said at all, and wait until the broker has taken or refused it."""
        try:
            said = Basic.Properties(**properties)
            said.marshal()
        except UNENCODABLE:
            return
        async with self._lock:
            try:
                async with asyncio.timeout(WITHIN):
                    await (await self._open()).basic_publish(body, exchange=exchange, routing_key=key, properties=said)
                self.taken += 1
            except LOST:
                if (current := asyncio.current_task()) is not None and current.cancelling():
                    raise
                # RabbitMQ ends the connection when something is said on a channel that it has just ended.
                await self.close()

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*LOST):
                await connection.close()

    async def _open(self) -> Channel:
        if self._connection is None:
            self._connection = await aio_pika.connect(self._url, timeout=WITHIN)
        if self._channel is None:
            opened = await self._connection.channel(publisher_confirms=True)
            self._channel = cast(Channel, await opened.get_underlay_channel())
        return self._channel


@asynccontextmanager
async def connect_publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    """Connect as the URL's user."""
    found = Publisher(amqp_url, await aio_pika.connect(amqp_url, timeout=WITHIN))
    try:
        yield found
    finally:
        await found.close()
