"""The broker as one of its users has it, for whoever says what must not be said there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection
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
UNSAYABLE = (PAMQPException, TypeError, ValueError, OverflowError)
"""What the client library itself does not put on the wire."""


class Mouth:
    """Publishes whatever it is told to; what the broker refuses ends a channel, or the connection, and it has another.

    `mailbox`: what a queue of its own could be called; it reads no answers.
    """

    def __init__(self, url: str, connection: AbstractConnection) -> None:
        self.user = login(connection)
        self.mailbox = own_queue(connection)
        self.connection = connection
        self._url = url
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()

    async def say(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        """Publish, if it can be said at all and the broker takes it."""
        try:
            said = Basic.Properties(**properties)
            said.marshal()
        except UNSAYABLE:
            return
        try:
            async with asyncio.timeout(WITHIN), self._lock:
                channel = await self._open()
                await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=said, wait=False)
        except LOST as lost:
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            del lost
            self._channel = None

    async def _open(self) -> Channel:
        if self.connection.is_closed:
            self.connection = await aio_pika.connect(self._url, timeout=WITHIN)
            self._channel = None
        if self._channel is None or self._channel.is_closed:
            self._channel = await self.connection.channel(publisher_confirms=False)
        return cast(Channel, await self._channel.get_underlay_channel())


@asynccontextmanager
async def mouth(amqp_url: str) -> AsyncIterator[Mouth]:
    """Connect as the URL's user."""
    found = Mouth(amqp_url, await aio_pika.connect(amqp_url, timeout=WITHIN))
    try:
        yield found
    finally:
        await found.connection.close()
