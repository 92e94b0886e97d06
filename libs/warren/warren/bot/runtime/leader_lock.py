"""Which of a bot's processes is at work: one, and another one when that ends."""

import logging
from collections.abc import Callable

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelLockedResource

from warren.broker.backoff import pause
from warren.broker.declare import TIMEOUT
from warren.contract.bots import BOT_LOCK

log = logging.getLogger(__name__)

TRY_EVERY = 0.5
"""Seconds between two looks at whether the other process has ended."""


async def acquire_leadership(connection: AbstractConnection, user: str, standing_by: Callable[[], None]) -> None:
    """Wait until no other process of the bot is at work; from then on this one is, as long as the connection lasts.

    `standing_by` is called if there is one. RabbitMQ tells no consumer whether it is the active one, and a process
    that stands by must neither call timers nor read up what the other one handles. An exclusive queue is a lock: it is
    its connection's, and ends with it.
    """
    waited = False
    while True:
        channel = await connection.channel()
        try:
            await channel.declare_queue(f"{user}.{BOT_LOCK}", exclusive=True, timeout=TIMEOUT)
        except ChannelLockedResource:
            if not waited:
                log.info("another process of the bot is active; this one stands by", extra={"bot": user})
                standing_by()
            waited = True
            await pause(TRY_EVERY)
        else:
            await channel.close()
            return
