"""What the routes and sockets work with, made once in `app`."""

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from warren.broker.command_client import CommandClient, by_shard
from warren.broker.publisher import Publisher
from warren.broker.reply_queue import ReplyQueue
from warren.contract.codes import Close
from warren.contract.commands import Accepted, Refused
from warren.contract.topology import SHARDS
from warren.rates import Bucket

from warren_gateway import metrics
from warren_gateway.auth.authenticator import Authenticator, Guests, Secret
from warren_gateway.auth.keys import KeySet
from warren_gateway.auth.sign_ins import SignInLog
from warren_gateway.config import Settings
from warren_gateway.connections.connection import Connection
from warren_gateway.connections.limits import AddressLimits, ConnectionLimits, PersonLimits
from warren_gateway.connections.protocol import ClientProtocol
from warren_gateway.delivery.coalescing import WriteCoalescer
from warren_gateway.delivery.cooperative import cooperatively
from warren_gateway.delivery.subscriber import TRANSPORTS, Transport
from warren_gateway.health.condition import Commands, ObservedRpcClient, Outcomes
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.registry import RoomRegistry

log = logging.getLogger(__name__)

BATCH_EVERY = 0.5
"""Seconds between two batches of clients that are sent away."""
GONE_WITHIN = 5.0
"""Seconds for clients that were sent away to get their last answers."""
TICK = 1.0
"""Seconds between looks at the clock: what hello, silence and expiry are precise to."""


class AppContext:
    """One gateway replica."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.people = _person_limits(settings)
        self.addresses = _address_limits(settings)
        self.key_set = _key_set(settings)
        secret = "" if settings.secret is None else settings.secret.get_secret_value()
        self.guests = Guests(secret, settings.rules, settings.token_seconds) if settings.auth == "guest" else None
        """Who hands out tokens; nobody if they come from elsewhere."""
        self.confirmed = Publisher(channels=SHARDS)
        self.unconfirmed = Publisher(confirm=False)
        self.command_client = CommandClient(self.confirmed, by_shard, self._observe)
        self.storing = Commands(lambda: self.command_client.waited)
        self.reading = Outcomes()
        self.rpc = ObservedRpcClient(self.unconfirmed, self.confirmed, self.reading)
        self.sign_ins = SignInLog(self.rpc)
        keys = self.key_set or Secret(secret)
        second = None if settings.second_secret is None else settings.second_secret.get_secret_value()
        self.auth = Authenticator(keys, settings.rules, self.addresses.failures, self.sign_ins.note, second)
        self.reply_queue = ReplyQueue(self.command_client, self.rpc)
        # A name for this process, not for the replica: what its last life announced is none of this one's.
        self.presence = PresenceClient(f"{settings.replica}/{secrets.token_hex(4)}")
        self.registry = RoomRegistry(self.rpc, self.presence, settings.replay_bytes)
        self.coalescer = WriteCoalescer()
        self._connections: dict[Connection, None] = {}
        """In the order they came, which is the order in which they are sent away."""
        self._gone = asyncio.Event()
        self.draining = False
        """Whether the process is about to stop; what comes is served, and sent on like all others."""
        self._closed = False
        self.limits = ConnectionLimits(
            frames=settings.rate("frames"),
            messages=settings.rate("messages"),
            joins=settings.rate("joins"),
            typing=settings.rate("typing"),
            statuses=settings.rate("statuses"),
            refusals=settings.rate("refusals"),
            unanswered=settings.unanswered,
            rooms=settings.rooms_per_connection,
            keep_alive=settings.keep_alive_seconds,
        )

    @contextmanager
    def serving(self, transport: Transport, address: str, *, grace: float = 0.0) -> Iterator[Connection]:
        """Serve a client that cannot speak over its transport, for as long as the context lasts.

        `grace`: seconds for which others see its person here afterwards.
        """
        connection = self.open(transport, address, one_way=True)
        try:
            yield connection
        finally:
            self.close(connection, grace)

    def open(
        self, transport: Transport, address: str, *, one_way: bool = False, frame_bucket: Bucket | None = None
    ) -> Connection:
        """Serve a client over this transport until `close`.

        `one_way`: it cannot speak there. `frame_bucket`: what the transport takes from for each frame that the client
        does not see.
        """
        protocol = ClientProtocol(self.limits, self.people, time.monotonic(), one_way, frame_bucket)
        connection = Connection(
            transport, protocol, address, self.auth, self.registry, self.presence, self.command_client
        )
        self._connections[connection] = None
        if self._closed:
            connection.dismiss()
        return connection

    def close(self, connection: Connection, grace: float = 0.0) -> None:
        """Let go of a client; others see its person here for `grace` more seconds."""
        del self._connections[connection]
        connection.close(grace)
        if not self._connections:
            self._gone.set()

    async def drain(self) -> None:
        """Send all clients away, some every half a second; who comes after that is sent away at once."""
        self.draining = True
        log.info("draining", extra={"clients": len(self._connections), "seconds": self.settings.drain_seconds})
        try:
            await self._dismiss_in_batches()
        finally:  # at once, if that was cut short
            self._closed = True
            for connection in tuple(self._connections):
                connection.dismiss()

    async def _dismiss_in_batches(self) -> None:
        for batches in range(math.ceil(self.settings.drain_seconds / BATCH_EVERY), 0, -1):
            staying = [connection for connection in self._connections if not connection.leaving]
            for connection in staying[: math.ceil(len(staying) / batches)]:
                connection.dismiss()
            await asyncio.sleep(BATCH_EVERY)

    async def gone(self) -> None:
        """Wait for what clients had begun when they were sent away, within a bound; then end their connections."""
        self._gone.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GONE_WITHIN):
                    await self._gone.wait()
        for connection in tuple(self._connections):
            connection.transport.end(Close.GOING_AWAY, "going away")

    async def ticks(self) -> None:
        """Let everything that waits notice the time, until cancelled.

        It takes the time of the end of the last look: what had come by then has been read, also if the process has
        stood still since, whose timers are due before it reads what came meanwhile.
        """
        now = time.monotonic()
        while True:
            self.command_client.expire()
            metrics.PENDING.set(len(self.command_client))
            metrics.REPLAY_BYTES.set(self.registry.replay_bytes)
            counts: Counter[str] = Counter()
            async for connection in cooperatively(self._connections):
                connection.tick(now, time.time())
                counts[connection.transport.name] += 1
            for name in TRANSPORTS:
                metrics.CONNECTIONS.labels(name).set(counts[name])
            now = time.monotonic()
            await asyncio.sleep(TICK)

    def _observe(self, answer: Accepted | Refused, seconds: float) -> None:
        metrics.ACK.observe(seconds)
        metrics.commands_answered(answer.code if isinstance(answer, Refused) else "stored").inc()
        self.storing.note(answer, seconds)


def _key_set(settings: Settings) -> KeySet | None:
    if settings.jwks is None:
        return None
    return KeySet(settings.jwks, settings.rules.algorithms, settings.jwks_seconds)


def _person_limits(settings: Settings) -> PersonLimits:
    return PersonLimits(
        messages=settings.rate("person_messages"),
        changes=settings.rate("person_changes"),
        reads=settings.rate("person_reads"),
        joins=settings.rate("person_joins"),
        typing=settings.rate("person_typing"),
        connections=settings.connections_per_person,
    )


def _address_limits(settings: Settings) -> AddressLimits:
    return AddressLimits(
        requests=settings.rate("address_requests"),
        connects=settings.rate("address_connects"),
        failures=settings.rate("address_failures"),
        connections=settings.connections_per_address,
    )
