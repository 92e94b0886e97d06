"""What the routes and sockets work with, made once in `app`."""

import asyncio
import time

from warren.broker.publisher import Publisher

from warren_gateway import metrics
from warren_gateway.auth import GuestAuth
from warren_gateway.client import Client
from warren_gateway.commands import Submitter
from warren_gateway.config import Settings
from warren_gateway.hub import Hub
from warren_gateway.mailbox import Mailbox
from warren_gateway.queries import Asker
from warren_gateway.session import SessionLimits
from warren_gateway.socket import Socket

TICK = 1.0
"""Seconds between looks at the clock: what hello, silence and expiry are precise to."""


class Gateway:
    """One gateway replica."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.auth = GuestAuth(settings.secret.get_secret_value(), settings.token_seconds)
        self.confirmed = Publisher()
        self.unconfirmed = Publisher(confirm=False)
        self.submitter = Submitter(self.confirmed)
        self.asker = Asker(self.unconfirmed)
        self.mailbox = Mailbox(self.submitter, self.asker)
        self.hub = Hub(self.asker)
        self.clients: set[Client] = set()
        self._limits = SessionLimits(
            frames_per_second=settings.frames_per_second,
            frames_burst=settings.frames_burst,
            unanswered=settings.unanswered,
            rooms=settings.rooms_per_connection,
        )

    def client(self, socket: Socket) -> Client:
        """Return a client for a socket that was accepted."""
        return Client(socket, self._limits, self.auth, self.hub, self.submitter)

    async def ticks(self) -> None:
        """Let everything that waits notice the time, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now, wall = time.monotonic(), time.time()
            self.submitter.expire()
            for client in tuple(self.clients):
                client.tick(now, wall)
            metrics.CONNECTIONS.set(len(self.clients))
