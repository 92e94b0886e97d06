"""What the forwarder does with deliveries when shards take nothing; the whole way is tests/integration's."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from harness.background import background_tasks
from pamqp.commands import Basic
from prometheus_client import REGISTRY
from warren.broker.errors import Unavailable
from warren.broker.shards import Lease
from warren.contract.commands import Refused
from warren.contract.topology import BOT_COMMANDS, BOT_QUEUE, COMMANDS, shard, shard_key
from warren.rates import Rate
from warren_persistence.bots import forwarder as module
from warren_persistence.bots.admission import AdmissionControl
from warren_persistence.bots.forwarder import AT_ONCE, Forwarder
from warren_persistence.commands.batch import PUBLISHER, Poison, Trust
from warren_persistence.commands.delivery_queue import Delivery, DeliveryQueue

TRUST = Trust(frozenset({"gateway"}), own="persistence")
BOT, REPLIES = "bot.a", "bot.a.0123456789abcdef"
STUCK, FREE = "general", next(name for name in map(str, range(100)) if shard(name) != shard("general"))


class Acks:
    """Takes note of what is acknowledged."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.came = asyncio.Event()

    def through(self, tag: int) -> None:
        self.tags.append(tag)
        self.came.set()


class Broker:
    """Publisher and outcomes in one: what takes nothing says so, at each try."""

    def __init__(self) -> None:
        self.taken: defaultdict[str, list[str]] = defaultdict(list)
        self.properties: list[dict[str, Any]] = []
        self.tries: defaultdict[str, int] = defaultdict(int)
        self.full: dict[str, float] = {}
        """By routing key, how many tries are in vain."""
        self.replies: list[tuple[str, list[Refused]]] = []
        self.dead: list[tuple[Poison, str, str]] = []
        self.outcomes_lost = 0
        """How many tries to answer are in vain."""

    async def publish(self, exchange: str, key: str, body: bytes, **properties: Any) -> None:
        assert exchange == COMMANDS
        self.tries[key] += 1
        await asyncio.sleep(0)
        if self.full.get(key, 0) > 0:
            self.full[key] -= 1
            raise Unavailable("full")
        self.taken[key] += [one["id"] for one in json.loads(body)["commands"]]
        self.properties.append(properties)

    async def reply(self, reply_to: str, replies: Sequence[Refused]) -> None:
        if self.outcomes_lost:
            self.outcomes_lost -= 1
            raise Unavailable("away")
        self.replies.append((reply_to, list(replies)))

    async def dead_letter(self, poison: Poison, source: str, exchange: str, key: str) -> None:
        self.dead.append((poison, source, exchange))


class Scene:
    """A forwarder and its queue."""

    def __init__(self, rate: Rate = Rate(1_000, 1_000)) -> None:  # noqa: B008
        self.broker = Broker()
        self.queue = DeliveryQueue()
        self.channel = SimpleNamespace(is_closed=False)
        self.lease = Lease(0, cast(Any, self.channel))
        self.acks = Acks()
        self.lease.acks = cast(Any, self.acks)
        self.tag = 0
        broker = cast(Any, self.broker)
        self.forwarder = Forwarder(self.queue, AdmissionControl(TRUST, rate), broker, broker)

    def arrives(self, *commands: dict[str, Any] | bytes, reply_to: str | None = REPLIES, user: str = BOT) -> int:
        """Have one message arrive; return its tag."""
        self.tag += 1
        junk = [one for one in commands if isinstance(one, bytes)]
        body = junk[0] if junk else json.dumps({"commands": commands}).encode()
        header = SimpleNamespace(properties=Basic.Properties(user_id=user, reply_to=reply_to, headers={}))
        self.queue.put(self.lease, cast(Any, SimpleNamespace(body=body, header=header, delivery_tag=self.tag)))
        return self.tag

    async def acknowledged(self, tag: int) -> None:
        """Wait until a delivery is."""
        async with asyncio.timeout(30):
            while tag not in self.acks.tags:
                self.acks.came.clear()
                await self.acks.came.wait()


class Clock:
    """Goes by the forwarder's pauses, and a little at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The forwarder's clock."""
    found = Clock()
    monkeypatch.setattr(module, "pause", found.pause)
    monkeypatch.setattr(module, "time", found)
    return found


@asynccontextmanager
async def forwarding(scene: Scene) -> AsyncIterator[None]:
    async with background_tasks(scene.forwarder.run()):
        yield


def command(key: str, room: str = FREE) -> dict[str, Any]:
    return {"type": "send", "id": key, "room": room, "sender": BOT, "name": "A", "key": key, "text": "x"}


def refused(code: str) -> float:
    labels = {"user": BOT, "code": code}
    return REGISTRY.get_sample_value("warren_bot_commands_refused_total", labels) or 0.0


async def test_each_shard_gets_what_is_for_it_in_order_and_in_its_bots_name() -> None:
    scene = Scene()
    scene.arrives(command("1"), command("2", STUCK), command("3"))
    last = scene.arrives(command("4", STUCK), command("5"))
    async with forwarding(scene):
        await scene.acknowledged(last)
    assert scene.broker.taken == {shard_key(shard(FREE)): ["1", "3", "5"], shard_key(shard(STUCK)): ["2", "4"]}
    assert [one["mandatory"] for one in scene.broker.properties] == [True, True]
    assert {one["reply_to"] for one in scene.broker.properties} == {REPLIES}
    assert [one["headers"] for one in scene.broker.properties] == [{PUBLISHER: BOT}] * 2
    assert (scene.broker.replies, scene.broker.dead) == ([], [])


async def test_a_shard_that_is_full_for_a_moment_loses_nothing_and_no_order() -> None:
    scene = Scene()
    scene.broker.full[shard_key(shard(STUCK))] = 3
    scene.arrives(command("1", STUCK))
    last = scene.arrives(command("2", STUCK), reply_to=None)
    async with forwarding(scene):
        await scene.acknowledged(last)
    assert scene.broker.taken[shard_key(shard(STUCK))] == ["1", "2"]
    assert (scene.broker.replies, scene.broker.dead) == ([], [])


async def test_a_shard_that_takes_nothing_is_waited_for_once_and_those_who_ask_hear_of_it(clock: Clock) -> None:
    scene, key = Scene(), shard_key(shard(STUCK))
    scene.broker.full[key] = float("inf")
    before = refused("unavailable")
    first = scene.arrives(command("1", STUCK), command("2"), command("3", STUCK))
    async with forwarding(scene):
        await scene.acknowledged(first)
        assert scene.broker.taken == {shard_key(shard(FREE)): ["2"]}
        ((to, answers),) = scene.broker.replies
        assert (to, [(one.id, one.code) for one in answers]) == (REPLIES, [("1", "unavailable"), ("3", "unavailable")])
        assert refused("unavailable") == before + 2
        assert clock.now >= module.PATIENCE
        waited, tried = clock.now, scene.broker.tries[key]
        assert tried > 1
        await scene.acknowledged(scene.arrives(command("4", STUCK)))
        assert scene.broker.tries[key] == tried + 1, "it has one try from then on"
        assert clock.now == pytest.approx(waited, abs=1e-3)
        scene.broker.full.clear()
        await scene.acknowledged(scene.arrives(command("5", STUCK)))
        assert scene.broker.taken[key] == ["5"]
        scene.broker.full[key] = 2
        await scene.acknowledged(scene.arrives(command("6", STUCK)))
        assert scene.broker.taken[key] == ["5", "6"], "and is waited for again once it has taken something"


async def test_what_nobody_would_hear_of_is_a_dead_letter() -> None:
    scene = Scene()
    scene.broker.full[shard_key(shard(STUCK))] = float("inf")
    tag = scene.arrives(command("1", STUCK), reply_to=None)
    async with forwarding(scene):
        await scene.acknowledged(tag)
    ((poison, source, exchange),) = scene.broker.dead
    assert [one["id"] for one in json.loads(poison.body)["commands"]] == ["1"]
    assert (poison.publisher, source, exchange) == (BOT, BOT_QUEUE, BOT_COMMANDS)
    assert scene.broker.replies == []


async def test_what_is_no_command_is_a_dead_letter_and_what_is_too_much_refused() -> None:
    scene = Scene(Rate(1, 2))
    before = refused("too_many")
    scene.arrives(b"junk")
    tag = scene.arrives(*(command(key) for key in "123"))
    async with forwarding(scene):
        await scene.acknowledged(tag)
        assert scene.broker.taken == {shard_key(shard(FREE)): ["1"]}
        assert [poison.body for poison, _, _ in scene.broker.dead] == [b"junk"]
        assert [(one.id, one.code) for _, found in scene.broker.replies for one in found] == [
            ("2", "too_many"),
            ("3", "too_many"),
        ]
        await scene.acknowledged(scene.arrives(command("4")))
        assert scene.broker.taken == {shard_key(shard(FREE)): ["1"]}
    assert refused("too_many") == before + 3, "a message that is not read counts as one"


async def test_nothing_is_acknowledged_before_its_answers_are_published() -> None:
    scene = Scene(Rate(1, 1))
    scene.broker.outcomes_lost = 3
    tag = scene.arrives(command("1"), command("2"))
    async with forwarding(scene):
        await scene.acknowledged(tag)
    assert scene.broker.outcomes_lost == 0
    assert [[one.id for one in found] for _, found in scene.broker.replies] == [["2"]]


async def test_what_went_back_to_the_broker_is_not_answered_for_ever_nor_acknowledged() -> None:
    scene = Scene(Rate(1, 1))
    scene.broker.outcomes_lost = 1_000_000
    scene.arrives(command("1"), command("2"))
    async with forwarding(scene):
        while scene.broker.outcomes_lost > 999_990:  # noqa: ASYNC110
            await asyncio.sleep(0)
        scene.channel.is_closed = True
        fresh = Lease(0, cast(Any, SimpleNamespace(is_closed=False)))
        fresh.acks = cast(Any, scene.acks)
        scene.lease = fresh
        await scene.acknowledged(scene.arrives(b"junk"))
    assert scene.acks.tags == [2]


async def test_no_more_is_forwarded_at_once_than_is_delivered_at_most() -> None:
    scene = Scene()
    deliveries: list[list[Delivery]] = []
    take = scene.forwarder._take

    async def taking() -> list[Delivery]:
        deliveries.append(await take())
        return deliveries[-1]

    scene.forwarder._take = taking  # type: ignore[method-assign]
    for number in range(AT_ONCE + 1):
        last = scene.arrives(command(str(number)))
    async with forwarding(scene):
        await scene.acknowledged(last)
    assert [len(found) for found in deliveries] == [AT_ONCE, 1]
