"""Notices a node that is alive to the network and of no use: halted, or cut off from here without a word.

Heartbeats would, too, in their time. The kernel of a halted node goes on taking connections, and what is sent on them.
"""

import asyncio

from aio_pika.abc import AbstractConnection as PikaConnection
from aio_pika.abc import UnderlayConnection
from aiormq.abc import AbstractConnection

from warren.broker.errors import Unavailable, Unresponsive
from warren.broker.standstill import answer_within

ASK_EVERY = 1.0
"""Seconds from an answer to the next question, which costs next to nothing: a channel's own process answers it."""


async def watch_liveness(connection: PikaConnection, within: float) -> None:
    """Ask the node for a sign of life again and again. Raises Useless if there is none within so many seconds.

    A connection that the broker blocks for want of memory or disk space is not asked: the broker reads nothing there,
    and no other node is of more use, since such an alarm is all the cluster's.
    """
    while True:
        await unblocked(connection)
        await _ask(_transport(connection).connection, within)
        if not await unblocked(connection):
            raise Unresponsive(f"no sign of life for {within} s")


async def unblocked(connection: PikaConnection) -> bool:
    """Wait while the broker blocks the connection; return whether it did. Raises Unavailable if there is none."""
    ready = asyncio.ensure_future(_transport(connection).ready())
    await asyncio.wait({ready}, timeout=0)
    if ready.done():
        return False
    await ready
    return True


def _transport(connection: PikaConnection) -> UnderlayConnection:
    if connection.transport is None:
        raise Unavailable("connection closed")
    return connection.transport


async def _ask(connection: AbstractConnection, within: float) -> None:
    """Ask until an answer does not come in time."""
    channel = await answer_within(connection.channel(publisher_confirms=False), within)
    if channel is not None:
        while await answer_within(channel.basic_qos(), within) is not None:  # noqa: ASYNC110  no event tells of a silence
            await asyncio.sleep(ASK_EVERY)
