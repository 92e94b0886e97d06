"""Keeps the shards that this replica is the active consumer of in step with the gateways, over the broker."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from pydantic import BaseModel, ValidationError
from warren.broker.consumer import consume, declare_own_queue, open_channel, until_gone
from warren.broker.errors import Unavailable, until_lost
from warren.broker.publisher import Publisher
from warren.broker.shards import Lease, Shards
from warren.contract import presence as p
from warren.contract.ids import inbox_room
from warren.contract.topology import CONTROL, LIVE, PRESENCE, SHARDS, event_key, presence_queue, shard_key
from warren.ops.mongo import StoreUnavailable
from warren.supervise import Tasks, contained
from warren.throttle import LogThrottle
from warren.untrusted import first_error

from warren_presence import metrics
from warren_presence.clock import Clock
from warren_presence.domain.leases import Leases
from warren_presence.domain.shard import (
    Action,
    BroadcastFrames,
    BroadcastStatus,
    LookUpLastSeen,
    RecordLastSeen,
    RequestAnnouncements,
    Shard,
)
from warren_presence.last_seen import LastSeen

log = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two ticks: announcements that come together are gathered for this long."""
PROBE_EVERY = 1.0
"""Seconds between ownership probes: whoever gets one is its active consumer."""
HEARD_WITHIN = 0.9
"""Seconds since a shard's last message within which its consumer does not probe it: less than PROBE_EVERY, so that a
probe of its own does not stand for the next one."""
OWNERSHIP_TIMEOUT = 5.0
"""Seconds without any message, probes included, after which another replica owns the shard."""
FAILED_PAUSE = 5.0
"""Seconds before a shard that failed is begun anew, which has every gateway announce all of it."""
RECORD_EVERY = 60.0
"""Seconds between writes of who is connected: what is lost at most when a replica dies."""
PREFETCH = 50
"""Messages of a shard delivered and not yet acked."""
CONTROL_LENGTH = 10_000
"""Control messages that may wait for a replica that lags; older ones go."""


@dataclass(slots=True)
class _Held:
    """A shard that this replica is the active consumer of."""

    number: int
    shard: Shard
    heard_at: float


_throttle = LogThrottle()


class PresenceService:
    """One replica: takes shards over as the broker gives them, and lets go of what another has taken over.

    All of it goes over one connection: whoever is cut off from the broker, and so replaced, cannot tell anything any
    more.
    """

    def __init__(self, replica: str, seen: LastSeen) -> None:
        self._replica = replica
        self._seen = seen
        self._clock = Clock(time.monotonic())
        self._leases = Leases(self._clock.now)
        self._held: dict[int, _Held] = {}
        self._paused_until: dict[int, float] = {}
        """By shard that has failed: when it is begun anew."""
        self._publisher = Publisher(confirm=False)
        self._shards = Shards(replica, presence_queue, PREFETCH, self._on_delivery, self._lost)
        self._tasks = Tasks("message")

    async def serve(self, connection: AbstractConnection) -> None:
        """Keep the shards on this connection until it goes away."""
        self._clock.advance(time.monotonic())
        self._leases.listen(self._clock.now)
        async with asyncio.TaskGroup() as group:
            for work in (
                self._publisher.serve(connection), self._listen(connection), self._shards.serve(connection),
                self._tick(), self._probe_ownership(), self._record_connected(),
            ):  # fmt: skip
                group.create_task(until_lost(work))

    async def _listen(self, connection: AbstractConnection) -> None:
        """Consume what gateways and other replicas broadcast."""
        channel = await open_channel(connection, prefetch=0)
        queue = await declare_own_queue(connection, channel, CONTROL_LENGTH)
        await consume(channel, queue.name, self._on_control, exclusive=True, no_ack=True)
        await queue.bind(CONTROL, timeout=10)
        await self._publish(CONTROL, "", p.RollCall(replica=self._replica))
        await until_gone(channel, queue)
        raise Unavailable("channel closed")

    def _on_delivery(self, lease: Lease, message: DeliveredMessage) -> None:
        """Take a message of a shard: whoever gets one is the shard's active consumer."""
        now, number = self._clock.now, lease.shard
        if now >= self._paused_until.get(number, now):
            held = self._held.get(number) or self._take_over(number, now)
            held.heard_at = now
            self._guarded(held, lambda held: self._on_shard_message(held, message, now))
        if message.delivery_tag is not None:
            lease.acks.through(message.delivery_tag)

    def _on_shard_message(self, held: _Held, message: DeliveredMessage, now: float) -> None:
        try:
            parsed = p.SHARD_MESSAGE.validate_json(message.body)
        except ValidationError as error:
            _refused(error)
        else:
            if isinstance(parsed, p.Announcement):
                self._on_announcement(held, parsed, now)

    def _on_announcement(self, held: _Held, message: p.Announcement, now: float) -> None:
        if message.shard != held.number:
            metrics.REFUSED.inc()
            log.warning("message refused", extra={"error": f"of shard {message.shard}, in the queue of {held.number}"})
            return
        if self._leases.stopped(message.gateway):
            return
        if self._leases.heard_at(message.gateway) is None:
            self._leases.renew(message.gateway, now)
        metrics.CHANGES.inc(len(message.changes))
        held.shard.announce(message, now)

    def _take_over(self, number: int, now: float) -> _Held:
        """Begin anew with a shard: ask all gateways who is there, and wait for those that live to have answered."""
        shard = Shard(secrets.token_hex(8), self._leases.alive, self._leases.not_before(now))
        held = self._held[number] = _Held(number, shard, now)
        log.info("shard taken over", extra={"shard": number, "term": shard.term})
        metrics.TAKEOVERS.inc()
        self._tasks.start(self._publish(CONTROL, "", p.Resync(shard=number, term=shard.term)))
        return held

    def _for_each_shard(self, act: Callable[[_Held], None]) -> None:
        """Do something with each shard. One that fails is dropped: the gateways announce it anew."""
        for held in list(self._held.values()):
            self._guarded(held, act)

    def _guarded(self, held: _Held, act: Callable[[_Held], None]) -> None:
        with contained("shard", lambda: self._failed(held.number), shard=held.number):
            act(held)

    def _failed(self, number: int) -> None:
        """Begin a shard anew, in a while: what it failed at may be what all gateways will announce again."""
        self._paused_until[number] = self._clock.now + FAILED_PAUSE
        self._lost(number)

    def _lost(self, number: int) -> None:
        if self._held.pop(number, None) is not None:
            log.info("shard released", extra={"shard": number})

    def _on_control(self, message: DeliveredMessage) -> None:
        try:
            parsed = p.CONTROL_MESSAGE.validate_json(message.body)
        except ValidationError as error:
            _refused(error)
            return
        now = self._clock.now
        match parsed:
            case p.Heartbeat(gateway=gateway, seqs=seqs) if not self._leases.stopped(gateway):
                self._leases.renew(gateway, now)
                self._for_each_shard(lambda held: held.shard.heartbeat(gateway, seqs[held.number], now))
            case p.Goodbye(gateway=gateway):
                self._leases.stop(gateway, now)
                self._for_each_shard(lambda held: held.shard.end(gateway, now))
            case p.RollCall(replica=replica) if replica != self._replica:
                self._tasks.start(self._publish(CONTROL, "", p.Roll(gateways=self._leases.seconds_silent(now))))
            case p.Roll(gateways=gateways):
                self._add_gateways(gateways, now)
            case p.Resync(shard=number, term=term, gateway=None):
                mine = self._held.get(number)
                if mine is not None and mine.shard.term != term:
                    self._lost(number)

    def _add_gateways(self, seconds_silent: dict[str, float], now: float) -> None:
        """Wait for gateways that another replica knows of: they may not have been heard here yet."""
        for gateway, silent in seconds_silent.items():
            if self._leases.add_heard_elsewhere(gateway, now - silent):
                self._for_each_shard(lambda held, gateway=gateway: held.shard.expect(gateway))  # type: ignore[misc]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._clock.advance(time.monotonic())
            now = self._clock.now
            self._expire(now)
            for held in list(self._held.values()):
                if now - held.heard_at > OWNERSHIP_TIMEOUT:
                    self._lost(held.number)
                elif not held.shard.idle:
                    # What is known of a shard is the gateways' to say again: whatever is wrong in it, it is begun anew.
                    with contained("shard", lambda held=held: self._failed(held.number), shard=held.number):  # type: ignore[misc]
                        await self._perform(held, held.shard.tick(now))

    def _expire(self, now: float) -> None:
        for gateway in self._leases.expired(now):
            log.warning("gateway silent", extra={"gateway": gateway})
            metrics.EXPIRED.inc()
            since = self._leases.heard_at(gateway)
            self._leases.end(gateway)
            self._for_each_shard(lambda held, gateway=gateway, since=since: held.shard.end(gateway, now, since))  # type: ignore[misc]

    async def _perform(self, held: _Held, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case BroadcastFrames(room, frames):
                    for frame in frames:
                        metrics.FRAMES.labels(_kind(frame)).inc()
                        await self._publish(LIVE, event_key(room), frame, held.shard.term)
                case BroadcastStatus(status):
                    await self._publish(LIVE, event_key(inbox_room(status.user)), status, held.shard.term)
                case LookUpLastSeen(users):
                    self._tasks.start(self._find(held, users))
                case RecordLastSeen(user, ago):
                    self._seen.record(user, ago)
                case RequestAnnouncements(gateway):
                    log.warning("announcements lost", extra={"gateway": gateway, "shard": held.number})
                    metrics.ASKED.inc()
                    await self._publish(CONTROL, "", p.Resync(shard=held.number, term=held.shard.term, gateway=gateway))

    async def _find(self, held: _Held, users: list[str]) -> None:
        try:
            seen = await self._seen.find(users)
        except StoreUnavailable as error:
            log.warning("last seen unknown", extra={"error": str(error)})
            return  # whoever asked is told to try again
        for user in users:
            status = p.UserStatus(user=user, status="offline", last_seen=seen.get(user))
            await self._publish(LIVE, event_key(inbox_room(user)), status, held.shard.term)

    async def _probe_ownership(self) -> None:
        probe = p.OwnershipProbe(replica=self._replica)
        while True:
            if keys := [shard_key(number) for number in range(SHARDS) if not self._is_heard(number)]:
                await self._publish(PRESENCE, keys[0], probe, BCC=keys[1:])  # to the queues of all of them
            await asyncio.sleep(PROBE_EVERY)

    def _is_heard(self, number: int) -> bool:
        """Whether another's probes, or what is announced, tell that this shard is ours often enough."""
        held = self._held.get(number)
        return held is not None and self._clock.now - held.heard_at < HEARD_WITHIN

    async def _record_connected(self) -> None:
        while True:
            for number in range(SHARDS):
                await asyncio.sleep(RECORD_EVERY / SHARDS)
                held = self._held.get(number)
                for user in held.shard.connected if held else ():
                    self._seen.record(user)

    async def _publish(self, exchange: str, key: str, message: BaseModel, term: str = "", **headers: list[str]) -> None:
        """Publish, or not: what is lost is noticed by whoever misses it."""
        body = message.model_dump_json(exclude_none=True).encode()
        with contextlib.suppress(Unavailable):
            await self._publisher.publish(exchange, key, body, headers={"term": term, **headers})

    def measure(self) -> None:
        """Set the gauges."""
        shards = [held.shard for held in self._held.values()]
        metrics.SHARDS.set(len(shards))
        metrics.COMPLETE.set(sum(shard.complete for shard in shards))
        metrics.ROOMS.set(sum(shard.rooms for shard in shards))
        metrics.CONNECTED.set(sum(len(shard.connected) for shard in shards))
        metrics.GATEWAYS.set(len(self._leases.alive))


def _kind(frame: p.Presence) -> str:
    return "diff" if frame.diff is not None else "count" if frame.count is not None else "state"


def _refused(error: ValidationError) -> None:
    metrics.REFUSED.inc()
    _throttle.warn(log, "message", "message refused", error=first_error(error))
