"""The queue that answers to commands and queries come to."""

import asyncio
from collections.abc import Callable

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from warren.broker.command_client import CommandClient
from warren.broker.consumer import consume, declare_own_queue, open_channel, until_gone
from warren.broker.rpc_client import RpcClient

LENGTH = 50_000
"""Messages that may wait for a process that does not read; older ones go, and their askers time out."""


class ReplyQueue:
    """An exclusive queue, new for each connection, so that nothing is read that was meant for another life."""

    def __init__(self, command_client: CommandClient, rpc: RpcClient) -> None:
        self._command_client = command_client
        self._rpc = rpc

    @property
    def open(self) -> bool:
        """Whether answers can come; without that nothing can be asked or said."""
        return self._command_client.reply_to is not None

    async def serve(self, connection: AbstractConnection, opened: Callable[[], None] | None = None) -> None:
        """Take answers on this connection until it goes away; `opened` is called when they can come."""
        channel = await open_channel(connection, prefetch=0)
        queue = await declare_own_queue(connection, channel, LENGTH)
        # Without acks: an answer is worth nothing a second time.
        await consume(channel, queue.name, self._take, exclusive=True, no_ack=True)
        self._command_client.reply_to = self._rpc.reply_to = queue.name
        try:
            if opened is not None:
                opened()
            await until_gone(channel, queue)
        finally:
            self._command_client.reply_to = self._rpc.reply_to = None
            asyncio.get_running_loop().call_soon(self._command_client.fail_all)

    def _take(self, message: DeliveredMessage) -> None:
        properties = message.header.properties
        if properties.message_type == "replies":
            self._command_client.answered(message.body)
        else:
            self._rpc.answered(properties.correlation_id, message.body)
