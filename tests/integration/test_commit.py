"""One commit on a real MongoDB: what one room needs again is read for that room alone."""

import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from harness.resilient_client import fresh_room
from harness.stack import Stack
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from warren.broker.shards import Lease
from warren.contract.codes import Code
from warren.contract.commands import Accepted, CreateRoom, Join, Mute, Refused, Send
from warren.contract.ids import new_id
from warren.contract.topology import shard
from warren_persistence.commands.batch import Batch, Decoded, Trust
from warren_persistence.commands.delivery_queue import Delivery, DeliveryQueue
from warren_persistence.domain.decide import RoomCommand
from warren_persistence.domain.plan import Plan
from warren_persistence.log.erase import erase
from warren_persistence.store import Store
from warren_persistence.writer.cache import Cache
from warren_persistence.writer.writer import Writer

Nobody = cast(Any, None)
"""What a commit does not use."""


class Asked(monitoring.CommandListener):
    """What a client has asked MongoDB."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.answered = 0
        """Documents that came."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            self.found.append(str(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.answered += len(event.reply.get("cursor", {}).get("firstBatch", ()))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class Committing:
    """A writer with a store of its own, and what that asks."""

    def __init__(self, store: Store, asked: Asked) -> None:
        self.asked = asked
        self.database = store.database
        self._writer = Writer(store, DeliveryQueue(), Nobody, Nobody, Nobody, Trust(frozenset(), "persistence"), 1_000)

    def forget(self) -> None:
        """Be a writer that has stored none of it."""
        self._writer._cache = Cache()

    async def commit(self, *commands: RoomCommand, redelivered: bool = False) -> Plan:
        """Store these, each in a delivery of its own."""
        parts = [Decoded(_delivery(one.room, redelivered=redelivered), None, [one], [], []) for one in commands]
        batch = Batch(parts)
        return await self._writer._commit(batch, batch.redelivered())


def _delivery(room: str, *, redelivered: bool) -> Delivery:
    lease = Lease(shard(room), cast(Any, SimpleNamespace(is_closed=False)))
    return Delivery(lease, cast(Any, SimpleNamespace(redelivered=redelivered)))


@pytest.fixture
async def writer(stack: Stack) -> AsyncIterator[Committing]:
    asked = Asked()
    client: Any = AsyncIOMotorClient(
        stack.mongodb.url, tz_aware=True, w="majority", readConcernLevel="majority", event_listeners=[asked]
    )
    store = Store(client, client.commits)
    await store.prepare()
    yield Committing(store, asked)
    client.close()


def command(of: type[RoomCommand], room: str, sender: str, **fields: Any) -> RoomCommand:
    return of(**{"id": new_id(), "room": room, "sender": sender, "name": sender, "key": new_id(), **fields})


async def rooms(writer: Committing, count: int) -> list[str]:
    """Make rooms of ann's in which eve is muted."""
    names = [fresh_room("commit") for _ in range(count)]
    for name in names:
        plan = await writer.commit(
            command(CreateRoom, name, "ann", kind="public", title="T"),
            command(Join, name, "eve"),
            command(Mute, name, "ann", user="eve"),
        )
        assert all(isinstance(answer, Accepted) for answer in plan.answers)
    return names


async def test_who_is_muted_and_sends_on_costs_their_own_room_alone(writer: Committing) -> None:
    muted, *others = await rooms(writer, 5)
    for _ in range(3):
        said = [command(Send, name, "ann", text="hi") for name in others]
        writer.asked.found.clear()
        plan = await writer.commit(said[0], command(Send, muted, "eve", text="hi"), *said[1:])
        assert [isinstance(answer, Accepted) for answer in plan.answers] == [True, False, True, True, True]
        assert any(muted in query for query in writer.asked.found), "a refusal is given on a state read just now"
        assert not [query for query in writer.asked.found for name in others if name in query]
        assert not [query for query in writer.asked.found if "'key'" in query]


async def test_a_key_of_long_ago_costs_its_own_room_alone(writer: Committing, stack: Stack) -> None:
    """The writer has forgotten the key, or never knew it: the unique index stops the insert."""
    old, *others = await rooms(writer, 4)
    first = command(Send, old, "ann", text="once")
    seq = cast(Accepted, (await writer.commit(first)).answers[0]).seq
    writer._writer._cache._keys.clear()
    said = [command(Send, name, "ann", text="hi") for name in others]
    more = command(Send, old, "ann", text="more")
    writer.asked.found.clear()
    plan = await writer.commit(said[0], more, first, *said[1:])
    answers = [cast(Accepted, answer) for answer in plan.answers]
    assert [answer.type for answer in answers] == ["accepted"] * 5
    assert (answers[1].seq, answers[2].seq) == (seq + 1, seq)
    assert not [query for query in writer.asked.found for name in others if name in query]


@pytest.mark.parametrize("cached", [True, False])
async def test_a_key_has_one_answer_whether_or_not_it_is_remembered(writer: Committing, *, cached: bool) -> None:
    """Of what was erased nobody knows what it said: its place is all that there is to be told."""
    (room,) = await rooms(writer, 1)
    said, other = (command(Send, room, "ann", text="secret", key=key) for key in ("k", "l"))
    seq = cast(Accepted, (await writer.commit(said)).answers[0]).seq
    another, theirs = (one.model_copy(update={"text": "different"}) for one in (said, other))
    await writer.commit(other)

    async def again(one: RoomCommand) -> Accepted | Refused:
        if not cached:
            writer.forget()
        plan = await writer.commit(one)
        assert not plan.new
        return plan.answers[0]

    refused = await again(another)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.seq) == (Code.INVALID, seq)
    assert await erase(writer.database, room, seq)
    for one in (said, another):
        assert await again(one) == Accepted(id=one.id, seq=seq, number=1)
    assert isinstance(await again(theirs), Refused), "what was not erased is known still"


async def test_what_a_key_stands_for_is_read_only_if_it_is_something_else(writer: Committing) -> None:
    (room,) = await rooms(writer, 1)
    said = command(Send, room, "ann", text="hi")
    await writer.commit(said)
    writer.asked.found.clear()
    await writer.commit(said)
    assert writer.asked.found == []
    await writer.commit(said.model_copy(update={"text": "ho"}))
    assert [query for query in writer.asked.found if "'key'" in query]


async def test_keys_of_many_rooms_are_found_each_in_its_room(writer: Committing) -> None:
    names = await rooms(writer, 3)
    said = [command(Send, name, who, text="hi", key="same") for name, who in itertools.product(names, ("ann",))]
    first = await writer.commit(*said)
    again = await writer.commit(*said, redelivered=True)
    assert [cast(Accepted, one).seq for one in again.answers] == [cast(Accepted, one).seq for one in first.answers]
    assert (len(again.new), len(again.again)) == (0, 3)
    other = await writer.commit(*(one.model_copy(update={"text": "another"}) for one in said), redelivered=True)
    assert {cast(Refused, answer).code for answer in other.answers} == {Code.INVALID}


async def test_what_others_have_said_under_the_same_key_is_not_read(writer: Committing) -> None:
    """Clients count, or copy an example: half a room may use the same keys."""
    (room,) = await rooms(writer, 1)
    people = [f"p{number}" for number in range(60)]
    await writer.commit(*(command(Join, room, one) for one in people))
    said = [command(Send, room, one, text="hi", key="k1") for one in people]
    first = await writer.commit(*said)
    writer.asked.answered = 0
    again = await writer.commit(said[7], redelivered=True)
    assert cast(Accepted, again.answers[0]).seq == cast(Accepted, first.answers[7]).seq
    assert writer.asked.answered < 10
