"""The wiring of the service: what is made of what, started and stopped in which order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractConnection
from warren.broker.backoff import backoff, pause
from warren.broker.errors import until_lost
from warren.broker.nodes import Nodes
from warren.broker.publisher import Publisher
from warren.broker.shards import Shards
from warren.broker.supervised_connection import SupervisedConnection
from warren.contract.topology import BOT_QUEUE, SHARDS, presence_queue, shard_queue
from warren.contract.users import login_of
from warren.ops.health import Checks
from warren.ops.mongo import StoreUnavailable, host_of
from warren.ops.serve import background
from warren.supervise import endless
from warren.throttle import LogThrottle

from warren_persistence.bots.admission import AdmissionControl
from warren_persistence.bots.forwarder import AT_ONCE, FORWARD_WITHIN, Forwarder
from warren_persistence.commands.batch import Trust
from warren_persistence.commands.delivery_queue import PREFETCH, DeliveryQueue
from warren_persistence.config import Settings
from warren_persistence.projections.follower import ProjectionFollower
from warren_persistence.publishing.event_messages import EventMessages
from warren_persistence.publishing.events import TRY_WITHIN, UNCONFIRMED, EventPublisher
from warren_persistence.publishing.notifications import NotificationOutbox
from warren_persistence.publishing.outcomes import OutcomePublisher
from warren_persistence.queries.consumer import QueryConsumer
from warren_persistence.store import connect
from warren_persistence.writer.writer import Writer

log = logging.getLogger(__name__)

STORE_CHECK = 5.0
"""Seconds between looks at MongoDB for readiness."""


class Persistence:
    """One replica of the persistence service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = connect(settings.mongo_url)
        self._connections: list[SupervisedConnection] = []
        self._store_up = False

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Checks]:
        """Work in the background; leaving stops consuming first and closes the store last."""
        try:
            main = asyncio.create_task(self._work(), name="persistence")
            async with background(main):
                yield {"broker": self._broker_up, "store": lambda: self._store_up}
        finally:
            self._store.close()

    def _broker_up(self) -> bool | None:
        """Whether all connections are there; there is none to try before MongoDB is prepared."""
        return all(supervised.up for supervised in self._connections) if self._connections else None

    async def _work(self) -> None:
        epoch = await self._prepare()
        replica = self._settings.replica
        confirmed, unconfirmed = Publisher(channels=SHARDS), Publisher(confirm=False)
        fan_out = Publisher(window=UNCONFIRMED, timeout=TRY_WITHIN)
        delivery_queue = DeliveryQueue()
        gateways = frozenset(self._settings.gateway_users.split(","))
        trust = Trust(gateways, own=login_of(self._settings.amqp_url))
        notifications = NotificationOutbox(self._store, confirmed)
        everything = self._settings.reading_everything
        messages = EventMessages(epoch, everything, bundled=self._settings.bundle_events)
        outcomes = OutcomePublisher(EventPublisher(fan_out, messages), confirmed, unconfirmed, replica)
        follower = ProjectionFollower(self._store.projector)
        writer = Writer(
            self._store, delivery_queue, outcomes, notifications, follower, trust, self._settings.rooms_per_person
        )
        shards = Shards(replica, shard_queue, PREFETCH, delivery_queue.put, writer.lost)
        queries = QueryConsumer(self._store, unconfirmed, epoch, gateways, everything)
        forwarding, from_bots = Publisher(timeout=FORWARD_WITHIN, channels=SHARDS), DeliveryQueue()
        forwarder = Forwarder(from_bots, AdmissionControl(trust), forwarding, outcomes)
        bots = Shards(replica, lambda _: BOT_QUEUE, AT_ONCE, from_bots.put, lambda _: None, count=1)

        async def publishing(connection: AbstractConnection) -> None:
            async with asyncio.TaskGroup() as group:
                for publisher in (confirmed, unconfirmed, forwarding):
                    group.create_task(until_lost(publisher.serve(connection)))

        # Publishing has a connection of its own: a broker that throttles publishers would stop acks and reads too.
        nodes = Nodes(self._settings.amqp_url)
        publish = SupervisedConnection(
            nodes, f"persistence/{replica}/publish", publishing, lambda shard: ("", presence_queue(shard))
        )
        # And so have events: a broker stops reading from a connection when one queue does not take what it publishes.
        events = SupervisedConnection(nodes, f"persistence/{replica}/events", fan_out.serve)
        taking = [
            SupervisedConnection(nodes, f"persistence/{replica}/commands", shards.serve),
            SupervisedConnection(nodes, f"persistence/{replica}/queries", queries.serve),
            SupervisedConnection(nodes, f"persistence/{replica}/bots", bots.serve),
            SupervisedConnection(nodes, f"persistence/{replica}/bots-queries", queries.serve_bots),
        ]
        self._connections = [publish, events, *taking]
        # The inner ones end first: what they have in hand is answered through the outer one.
        async with asyncio.TaskGroup() as outer:
            for supervised in (publish, events):
                outer.create_task(endless(supervised.run()))
            outer.create_task(endless(self._watch_store()))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(endless(writer.run()))
                inner.create_task(endless(notifications.run()))
                inner.create_task(endless(follower.run()))
                inner.create_task(endless(forwarder.run()))
                for supervised in taking:
                    inner.create_task(endless(supervised.run()))

    async def _prepare(self) -> str:
        throttle = LogThrottle()
        for wait in backoff():
            try:
                return await self._store.prepare()
            except StoreUnavailable as error:
                where = host_of(self._settings.mongo_url)
                throttle.warn(log, "store", "waiting for MongoDB", **where, error=str(error))
                await pause(wait)
        raise AssertionError("backoff is endless")

    async def _watch_store(self) -> None:
        while True:
            try:
                await self._store.ping()
                self._store_up = True
            except StoreUnavailable:
                self._store_up = False
            await asyncio.sleep(STORE_CHECK)
