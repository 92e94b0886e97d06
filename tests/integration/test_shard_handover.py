"""A shard goes from one writer to another in the middle of something: nobody writes on who may not.

Two stores on a real MongoDB are halted at any of the commands that they send it: the new writer's, which loads the
room, and the old one's, which removes somebody from it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness.resilient_client import fresh_room
from harness.stack import Stack
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from warren.contract.commands import Accepted, CreateRoom, Join, Remove, Send
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren_persistence.domain.decide import RoomCommand
from warren_persistence.domain.plan import Plan, plan_batch
from warren_persistence.domain.room import NOBODY, Room
from warren_persistence.store import Store

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
COMMANDS = 7
"""One more than the commands to MongoDB that loading a room takes."""


class Halts(monitoring.CommandListener):
    """Holds up one command of a client until told to go on."""

    def __init__(self) -> None:
        self.halted = threading.Event()
        self.go = threading.Event()
        self._left = -1

    def after(self, commands: int) -> None:
        """Let so many commands pass, and hold up the next one."""
        self._left = commands

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in ("find", "aggregate", "insert", "update"):
            return
        self._left -= 1
        if self._left == -1:
            self.halted.set()
            self.go.wait(WITHIN)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@asynccontextmanager
async def writer(stack: Stack, halts: Halts) -> AsyncIterator[Store]:
    """A writer's store, with majority concern as it has it, that halts."""
    client: Any = AsyncIOMotorClient(
        stack.mongodb.url, tz_aware=True, w="majority", readConcernLevel="majority", event_listeners=[halts]
    )
    try:
        yield Store(client, client.handover)
    finally:
        halts.go.set()
        client.close()


def command(of: type[RoomCommand], room: str, sender: str, **fields: Any) -> RoomCommand:
    return of(id=new_id(), room=room, sender=sender, name=sender, key=new_id(), **fields)


async def load(store: Store, name: str) -> Room:
    """Return the room as a writer loads it."""
    room = (await store.load_rooms([name]))[name]
    people = [(name, user) for user in ("ann", "eve")]
    memberships = await store.rooms.memberships(people)
    room.members = {user: memberships.get((place, user), NOBODY) for place, user in people}
    return room


async def commit(store: Store, room: Room, *commands: RoomCommand) -> tuple[Plan, bool]:
    """Judge, insert and project as a writer does; return the plan, and whether it was stored."""
    plan = plan_batch(commands, {room.name: room}, {}, utc_now())
    if await store.appender.append(plan.new) is not None:
        return plan, False
    await store.project((name, event) for name, event, _ in plan.new)
    return plan, True


@pytest.fixture
async def room(stack: Stack) -> str:
    """A room of ann's, of which eve is a member."""
    name = fresh_room("handover")
    async with writer(stack, Halts()) as store:
        await store.prepare()
        start = (command(CreateRoom, name, "ann", kind="public", title="A"), command(Join, name, "eve"))
        assert (await commit(store, Room(name), *start))[1]
    return name


@pytest.mark.parametrize(
    "projected", [False, True], ids=["the old one halts before it projects", "the old one is done"]
)
@pytest.mark.parametrize("at", range(COMMANDS))
async def test_who_was_removed_in_between_writes_nothing(stack: Stack, room: str, at: int, *, projected: bool) -> None:
    """The new writer halts at one of its reads; the old one removes eve meanwhile, and halts, too, or does not."""
    loading, removing = Halts(), Halts()
    async with writer(stack, loading) as new, writer(stack, removing) as old:
        before = await load(old, room)
        loading.after(at)
        if not projected:
            removing.after(1)  # the insert
        task = asyncio.create_task(load(new, room))
        await _halted_or_done(loading, task)
        removal = asyncio.create_task(commit(old, before, command(Remove, room, "ann", user="eve")))
        await _halted_or_done(removing, removal)
        loading.go.set()
        loaded = await task
        plan, stored = await commit(new, loaded, command(Send, room, "eve", text="still here"))
        assert not (stored and isinstance(plan.answers[0], Accepted)), f"eve was removed and wrote on, at {loaded}"
        removing.go.set()
        assert (await removal)[1]


async def _halted_or_done(halts: Halts, task: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(WITHIN):
        while not halts.halted.is_set() and not task.done():  # noqa: ASYNC110  in a thread of the driver's
            await asyncio.sleep(0.005)
