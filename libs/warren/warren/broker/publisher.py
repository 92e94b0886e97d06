"""Publishing with confirms, timeouts and a bounded window."""

import asyncio
from typing import Any, cast

from aio_pika.abc import AbstractConnection
from aiormq.channel import Channel
from pamqp.commands import Basic

from warren.broker.consumer import open_in_time, until_closed
from warren.broker.errors import Unavailable, translated
from warren.broker.identity import login
from warren.broker.tracing import sending

PERSISTENT = 2


class Publisher:
    """Publishes on whatever channel is attached at the moment.

    With `confirm` a publish returns when the broker has taken responsibility (publisher confirm); without, when
    the message is on its way. `window`: publishes under way at once; `timeout`: seconds for each, waiting included.
    Every message says whose it is (`user_id`): the broker refuses any name but the connection's own.
    """

    def __init__(self, *, confirm: bool = True, window: int = 256, timeout: float = 5.0) -> None:
        self._confirm = confirm
        self._timeout = timeout
        self._window = asyncio.Semaphore(window)
        self._attached = asyncio.Event()
        self._channel: Channel | None = None
        self._login: str | None = None

    async def serve(self, connection: AbstractConnection) -> None:
        """Publish on a channel of this connection until it closes, then raise Unavailable."""
        channel = connection.channel(publisher_confirms=self._confirm, on_return_raises=self._confirm)
        await open_in_time(connection, channel)
        self._channel = cast(Channel, await channel.get_underlay_channel())
        self._login = login(connection)
        self._attached.set()
        try:
            await until_closed(channel)
        finally:
            self._attached.clear()
            self._channel = None
        raise Unavailable("channel closed")

    async def publish(
        self, exchange: str, key: str, body: bytes, *, mandatory: bool = False, **properties: Any
    ) -> None:
        """Publish one message; `properties` are AMQP's (`correlation_id`, `reply_to`, `headers`, `expiration` …).

        `mandatory`: a message that no queue takes is an error. Raises Unavailable.
        """
        with translated(), sending(exchange, key, properties) as traced:
            async with asyncio.timeout(self._timeout), self._window:
                await self._attached.wait()
                await self._publish(exchange, key, body, mandatory, Basic.Properties(**traced))

    async def _publish(
        self, exchange: str, key: str, body: bytes, mandatory: bool, properties: Basic.Properties
    ) -> None:
        channel = self._channel
        if channel is None:
            raise ConnectionError("channel lost")
        properties.user_id = self._login
        await channel.basic_publish(
            body, exchange=exchange, routing_key=key, properties=properties, mandatory=mandatory, wait=False
        )
