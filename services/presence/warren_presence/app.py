"""The wiring of the service. For now it holds its connection to the broker; presence itself comes with leases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractConnection
from warren.broker.link import Link, until_closed
from warren.ops.health import Checks
from warren.ops.serve import background

from warren_presence.config import Settings


@asynccontextmanager
async def work(settings: Settings) -> AsyncIterator[Checks]:
    """Work in the background."""
    link = Link(settings.amqp_url, f"presence/{settings.replica}", _serve)
    async with background(asyncio.create_task(link.run(), name="presence")):
        yield {"broker": lambda: link.up}


async def _serve(connection: AbstractConnection) -> None:
    """Keep the connection; consumers of `warren.presence` find their place here."""
    await until_closed(connection)
