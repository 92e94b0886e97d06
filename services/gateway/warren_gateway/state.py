"""What the routes and sockets work with, made once in `app`."""

import asyncio
import secrets
import time

from warren.broker.publisher import Publisher

from warren_gateway import metrics
from warren_gateway.auth import Authenticator, Guests, Secret
from warren_gateway.client import Client
from warren_gateway.commands import Submitter
from warren_gateway.config import Settings
from warren_gateway.hub import Hub
from warren_gateway.jwks import KeySet
from warren_gateway.limits import AddressLimits, PersonLimits
from warren_gateway.live import Live
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
        self.people = _person_limits(settings)
        self.addresses = _address_limits(settings)
        self.key_set = _key_set(settings)
        secret = "" if settings.secret is None else settings.secret.get_secret_value()
        self.auth = Authenticator(self.key_set or Secret(secret), settings.rules, self.addresses.failures)
        self.guests = Guests(secret, settings.rules, settings.token_seconds) if settings.auth == "guest" else None
        """Who hands out tokens; nobody if they come from elsewhere."""
        self.confirmed = Publisher()
        self.unconfirmed = Publisher(confirm=False)
        self.submitter = Submitter(self.confirmed)
        self.asker = Asker(self.unconfirmed)
        self.mailbox = Mailbox(self.submitter, self.asker)
        # A name for this process, not for the replica: what its last life announced is none of this one's.
        self.live = Live(f"{settings.replica}/{secrets.token_hex(4)}", self.unconfirmed)
        self.hub = Hub(self.asker, self.live)
        self.clients: set[Client] = set()
        self._limits = SessionLimits(
            frames=settings.rate("frames"),
            messages=settings.rate("messages"),
            joins=settings.rate("joins"),
            typing=settings.rate("typing"),
            statuses=settings.rate("statuses"),
            refusals=settings.rate("refusals"),
            unanswered=settings.unanswered,
            rooms=settings.rooms_per_connection,
        )

    def client(self, socket: Socket, address: str) -> Client:
        """Return a client for a socket that was accepted."""
        return Client(socket, address, self._limits, self.people, self.auth, self.hub, self.live, self.submitter)

    async def ticks(self) -> None:
        """Let everything that waits notice the time, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now, wall = time.monotonic(), time.time()
            self.submitter.expire()
            for client in tuple(self.clients):
                client.tick(now, wall)
            metrics.CONNECTIONS.set(len(self.clients))


def _key_set(settings: Settings) -> KeySet | None:
    if settings.jwks is None:
        return None
    return KeySet(settings.jwks, settings.rules.algorithms, settings.jwks_seconds)


def _person_limits(settings: Settings) -> PersonLimits:
    return PersonLimits(
        messages=settings.rate("person_messages"),
        changes=settings.rate("person_changes"),
        reads=settings.rate("person_reads"),
        connections=settings.connections_per_person,
    )


def _address_limits(settings: Settings) -> AddressLimits:
    return AddressLimits(
        requests=settings.rate("address_requests"),
        connects=settings.rate("address_connects"),
        failures=settings.rate("address_failures"),
        connections=settings.connections_per_address,
    )
