"""The group-commit writer: deliveries come in, stored events and answers go out, a batch at a time.

It is the one place where something becomes part of a room's log.

One loop for all shards that the replica holds, because big batches are everything: take all that waits, judge it,
store it in one ordered insert with majority concern, publish it, and only then take again. The next batch gathers
meanwhile. Deliveries are acknowledged when the broker has confirmed their events, beside that: waiting for it cost an
eighth of the throughput. Whoever dies before the acknowledgement leaves the deliveries to the next writer, which finds
the keys stored and says the same again.
"""

import asyncio
import logging
import time
from collections import defaultdict
from contextlib import ExitStack

from warren.broker.backoff import backoff, pause
from warren.broker.tracing import within
from warren.contract.codes import Code
from warren.contract.wire import utc_now
from warren.ops.mongo import StoreUnavailable
from warren.supervise import contained, failed

from warren_persistence import metrics
from warren_persistence.commands.batch import Batch, Trust, decode
from warren_persistence.commands.delivery_queue import DeliveryQueue, acknowledge
from warren_persistence.domain.content import content_of_event
from warren_persistence.domain.decide import RoomCommand, members_needed, refuse
from warren_persistence.domain.notices import recipient
from warren_persistence.domain.plan import Plan, Stored, key_of, merged, plan_batch, stands_for_another
from warren_persistence.domain.registry import PROJECTED
from warren_persistence.domain.room import NOBODY
from warren_persistence.projections.follower import ProjectionFollower
from warren_persistence.publishing.notifications import NotificationOutbox
from warren_persistence.publishing.outcomes import OutcomePublisher
from warren_persistence.store import Store
from warren_persistence.writer.cache import Cache
from warren_persistence.writer.loading import load_facts

log = logging.getLogger(__name__)

BATCH_LIMIT = 500
"""Commands in one commit (a delivery is never split, so it may be a few more)."""
SETTLE_WITHIN = 1.0
"""Seconds at the end for what was written to be acknowledged."""
RETRY_CAP = 2.0
"""Seconds between tries while MongoDB is away, at most."""


class Writer:
    """Takes deliveries, commits, and has what became of them published."""

    def __init__(
        self,
        store: Store,
        delivery_queue: DeliveryQueue,
        outcomes: OutcomePublisher,
        notifications: NotificationOutbox,
        follower: ProjectionFollower,
        trust: Trust,
        rooms_limit: int,
    ) -> None:
        self._store = store
        self._delivery_queue = delivery_queue
        self._outcomes = outcomes
        self._notifications = notifications
        self._follower = follower
        self._trust = trust
        self._rooms_limit = rooms_limit
        self._cache = Cache()
        self._settled: asyncio.Task[None] | None = None
        """Acknowledges the last batch."""

    async def run(self) -> None:
        """Write until cancelled; what was written is acknowledged all the same."""
        try:
            while True:
                await self._write(await self._take())
        finally:
            if self._settled is not None:
                await asyncio.wait({self._settled}, timeout=SETTLE_WITHIN)

    async def _write(self, batch: Batch) -> None:
        with ExitStack() as ends:
            for span in batch.spans:  # also of what drops out on the way
                ends.callback(span.end)
            await self._pass(batch, batch.redelivered())
            self._settled = asyncio.create_task(self._settle(batch, self._settled, ends.pop_all()))

    async def _settle(self, batch: Batch, before: asyncio.Task[None] | None, ends: ExitStack) -> None:
        """Acknowledge a batch when its events are out, and after the one before; the next is written meanwhile."""
        with ends:
            if before is not None:
                await asyncio.wait({before})
            with contained("commit"):
                await self._outcomes.confirmed()
            batch.drop_dead()
            acknowledge(part.delivery for part in batch.parts)

    async def _pass(self, batch: Batch, doubted: set[str]) -> None:
        """Store and publish, by halves if that fails in a way that nobody foresaw: what fails alone holds nobody up.

        The halves come one after the other, so that each command keeps its place in its room.
        """
        if await self._tried(batch, doubted) is None:
            return
        commands = list(batch.commands())
        if len(commands) == 1:
            await self._pass_alone(batch, commands[0])
            return
        for half in batch.halves():
            half.drop_dead()
            await self._pass(half, {command.room for command in half.commands()})

    async def _pass_alone(self, batch: Batch, command: RoomCommand) -> None:
        """Try a command again; it becomes a dead letter, unless the store takes nothing else either."""
        waits = backoff(cap=RETRY_CAP)
        while (error := await self._tried(batch, {command.room})) is not None:
            if await self._store_works():
                batch.dead_letter(f"failed: {error!r}")
                refused = refuse(command, Code.UNAVAILABLE, "it could not be stored; the operator is told")
                await self._outcomes.publish(batch, Plan(answers=[refused]))
                return
            metrics.RETRIES.inc()
            await pause(next(waits))
            batch.drop_dead()

    async def _tried(self, batch: Batch, doubted: set[str]) -> Exception | None:
        """Store and publish; return what nobody foresaw, with nothing kept of what it may have befallen."""
        try:
            await self._store_and_publish(batch, doubted)
        except Exception as error:
            commands = list(batch.commands())
            if not commands:
                raise  # nothing is left to be left out
            failed("commit", error, commands=len(commands), room=commands[0].room, correlation_id=commands[0].id)
            self._cache.forget_rooms(command.room for command in commands)
            return error
        return None

    async def _store_works(self) -> bool:
        try:
            await self._store.prove()
        except StoreUnavailable as error:
            log.warning("store unavailable", extra={"error": str(error)})
        except Exception as error:
            failed("store", error)
        else:
            return True
        return False

    async def _store_and_publish(self, batch: Batch, doubted: set[str]) -> None:
        """Store and publish. `doubted`: rooms of which something may be stored already: their keys are looked up."""
        started = time.perf_counter()
        with within(batch.spans, "commit"):
            plan = await self._commit(batch, doubted)
        metrics.COMMIT.observe(time.perf_counter() - started)
        if await self._outcomes.publish(batch, plan):
            if any(recipient(event) for _, event, _ in plan.new):
                self._notifications.wake()
            if any(event.type in PROJECTED for _, event, _ in plan.new):
                self._follower.wake()

    def lost(self, shard: int) -> None:
        """Forget what is cached of a shard whose channel has ended."""
        self._cache.forget_shard(shard)

    async def _take(self) -> Batch:
        first = await self._delivery_queue.take()
        await self._delivery_queue.settle(BATCH_LIMIT)
        batch = Batch([decode(first, self._trust)])
        size = len(batch.parts[0].commands)
        while size < BATCH_LIMIT and (delivery := self._delivery_queue.take_now()) is not None:
            batch.parts.append(decode(delivery, self._trust))
            size += len(batch.parts[-1].commands)
        metrics.BATCH.observe(size)
        metrics.BACKLOG.set(len(self._delivery_queue))
        return batch

    async def _commit(self, batch: Batch, doubted: set[str]) -> Plan:
        """Store the batch, however long MongoDB is away; only deliveries that went back to the broker drop out."""
        waits = backoff(cap=RETRY_CAP)
        while batch.parts:
            try:
                plan = await self._attempt(batch, doubted)
            except StoreUnavailable as error:
                log.warning("store unavailable", extra={"error": str(error), "deliveries": len(batch.parts)})
                metrics.RETRIES.inc()
                plan = None
                await pause(next(waits))
            if plan is not None:
                return plan
            # What was assumed may be wrong, or half of it stored: read it all again.
            doubted = {command.room for command in batch.commands()}
            self._cache.forget_rooms(doubted)
            batch.drop_dead()
        return Plan()

    async def _attempt(self, batch: Batch, doubted: set[str]) -> Plan | None:
        """Store the batch, or return None when it was judged by a state that proved old."""
        commands = list(batch.commands())
        plans = await self._planned(commands, doubted)
        if plans is None:
            return None
        left = [entry for plan in plans.values() for entry in plan.new]
        while (conflict := await self._store.appender.append(left)) is not None:
            metrics.CONFLICTS.labels(conflict.kind).inc()
            lease = batch.lease_of(conflict.room)
            if conflict.kind == "seq" and lease is not None:
                lease.fence()
                return None
            # A key that was used long ago: that room is planned anew, and what is left of the others goes on.
            self._cache.forget_rooms([conflict.room])
            again = await self._planned([one for one in commands if one.room == conflict.room], {conflict.room})
            if again is None:
                return None
            plans |= again
            left = [entry for entry in left[conflict.index :] if entry[0] != conflict.room] + again[conflict.room].new
        plan = merged(commands, plans)
        await self._store.project((room, event) for room, event, _ in plan.new)
        self._remember(plan)
        return plan

    async def _planned(self, commands: list[RoomCommand], doubted: set[str]) -> dict[str, Plan] | None:
        """Return what the commands come to, by room; None if a room was lost meanwhile.

        A refusal leaves no trace that a conflict could correct, so it is only given on a state read just now: its room
        is read again and planned anew, and that costs no other room anything.
        """
        loaded = await self._load(commands)
        plans = await self._plan(commands, doubted)
        stale = {room for room, plan in (plans or {}).items() if plan.refused} - loaded
        if plans is None or not stale:
            return plans
        self._cache.forget_rooms(stale)
        commands = [command for command in commands if command.room in stale]
        await self._load(commands)
        again = await self._plan(commands, doubted & stale)
        return None if again is None else plans | again

    async def _plan(self, commands: list[RoomCommand], doubted: set[str]) -> dict[str, Plan] | None:
        # Held on to, since a shard that is lost meanwhile takes what is cached of its rooms with it.
        rooms = self._cache.rooms_of(commands)
        if rooms is None:
            return None
        by_room: defaultdict[str, list[RoomCommand]] = defaultdict(list)
        for command in commands:
            by_room[command.room].append(command)
        known = self._cache.known_keys(commands)
        looked_up = {key_of(command) for room in doubted for command in by_room.get(room, ())}
        # What it stands for may have been erased meanwhile: then any command of that key is the same.
        looked_up |= {key_of(command) for command in commands if stands_for_another(command, known)}
        known |= await self._store.appender.find_keys(looked_up)
        facts = await load_facts(self._store, commands, rooms, self._rooms_limit)
        now = utc_now()
        return {room: plan_batch(found, rooms, known, now, facts) for room, found in by_room.items()}

    async def _load(self, commands: list[RoomCommand]) -> set[str]:
        """Read what the batch needs and the cache lacks; return the rooms just read."""
        pairs = {(command.room, user) for command in commands for user in members_needed(command)}
        missing = self._cache.missing(pairs)
        if missing:
            rooms = await self._store.load_rooms(sorted(missing))
            wanted = [(room, user) for room, user in pairs if room in missing]
            memberships = await self._store.rooms.memberships(wanted)
            for room, user in wanted:
                rooms[room].members[user] = memberships.get((room, user), NOBODY)
            self._cache.add_rooms(rooms, len(pairs))
        return missing

    def _remember(self, plan: Plan) -> None:
        for room, event, number in (*plan.new, *plan.again):
            self._cache.remember((room, event.sender, event.key), Stored(event.seq, number, content_of_event(event)))
