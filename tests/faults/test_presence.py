"""Who is here, while one thing after the other dies: nobody who stays is ever shown going, and all lists come right."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import httpx
import pytest
from conftest import BASE_PORT
from harness.bots import rabbitmqctl
from harness.concurrency import run_concurrently
from harness.http_transport import http_client
from harness.observability import log_lines, metric
from harness.presence_observer import ObserverGroup, PresenceObserver, observer_group
from harness.resilient_client import fresh_room, join_room, make_room, sign_in
from harness.stack import Stack, begin
from warren.contract.presence import GRACE, LEASE
from warren.contract.topology import PRESENCE, presence_queue, shard, shard_key
from warren_local.service import Service

HEARTBEAT = 2
"""Seconds; the broker gives up a silent consumer after about two of them."""
ROOMS = 8
"""Enough that both replicas hold the shards of some."""
EACH = 4
"""Rooms of each person."""
PEOPLE = 12
WITHIN = 60.0
"""Seconds for what has no promise about its time; a bound, not an expectation."""
OFFLINE_WITHIN = 20.0
"""Seconds from the death of a gateway until its people are offline: the lease and some."""
RIGHT_WITHIN = 3.0
"""Seconds from the death of a presence replica until its successor knows who is there."""
HEARTBEATS_LOST = 8.0
"""Seconds for which a gateway is halted so that one heartbeat at least does not come, and the lease holds."""
LATE = 2.5
"""Seconds for which a gateway does not answer: beyond a replica's wait for gateways that it does not know of."""
TICK = 0.1
"""Seconds for which a gateway gathers what it announces."""
SAME_MOMENT = 0.5
"""Seconds by which two clocks, or two ways through the broker, may differ."""


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    env = {"WARREN_STATUSES_PER_SECOND": "1000", "WARREN_STATUSES_BURST": "1000"}
    stack = Stack(home / "absent", BASE_PORT + 2_000, presence=2, heartbeat=HEARTBEAT, env=env)
    with stack.running():
        yield stack


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """Return how often each fault is repeated."""
    return 8 if request.config.getoption("--long") else 1


@pytest.fixture
def in_long_form(request: pytest.FixtureRequest) -> None:
    """Leave the test to the long form."""
    if not request.config.getoption("--long"):
        pytest.skip("long form")


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Return what writes down how long something took, for who reads the run."""

    def write(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        print(f"{what}: {seconds:.2f} s")

    return write


Record = Callable[[str, float], None]


@dataclass(slots=True)
class Party:
    """People in overlapping rooms, half of them at the one gateway and half at the other.

    `stayers` are here all the time. `leaver` is here and will go; `joiner` will come. `beacon` follows every room: what
    it reports shows everybody that they are still told.
    """

    stack: Stack
    observers: ObserverGroup
    stayers: list[PresenceObserver]
    leaver: PresenceObserver
    joiner: PresenceObserver
    beacon: PresenceObserver

    @property
    def staying(self) -> set[str]:
        return {observer.user for observer in (*self.stayers, self.beacon)}

    async def signal(self, within: float = WITHIN) -> float:
        """Have every list prove that it follows what happens, and is right; return the seconds that it took."""
        await flip(self.beacon)
        return await self.observers.right(within)

    async def change(self) -> float:
        """Let one come, one go and two change their status; return when that was."""
        at = time.monotonic()
        self.observers.come(self.joiner)
        await run_concurrently(self.observers.go(self.leaver), flip(self.stayers[1]), flip(self.stayers[2]))
        return at

    async def seen(self, since: float, within: float) -> float:
        """Wait until all but who went is shown; return the seconds since then."""
        await self.observers.right(within, self.staying | {self.joiner.user})
        return time.monotonic() - since

    async def swap(self) -> None:
        """Let leaver and joiner change places for another round."""
        await self.signal()
        self.leaver, self.joiner = self.joiner, self.leaver


async def flip(observer: PresenceObserver) -> None:
    await observer.report("away" if observer.status == "online" else "online")


@asynccontextmanager
async def party(stack: Stack) -> AsyncIterator[Party]:
    """Gather people who see each other; in the end all lists are right, and nobody who stayed was shown going."""
    gateways = [gateway.url for gateway in stack.gateways]
    rooms = [fresh_room("party") for _ in range(ROOMS)]
    async with observer_group() as guests, http_client() as http:
        token, user = await sign_in(http, gateways[0], "beacon")
        for room in rooms:
            await make_room(http, gateways[0], room, token)
        beacon = guests.add(token, user, gateways, rooms)
        *stayers, leaver, joiner = [await guest(http, guests, number, gateways, rooms) for number in range(PEOPLE)]
        stayers.append(second_device(guests, stayers[0]))
        found = Party(stack, guests, stayers, leaver, joiner, beacon)
        guests.come(beacon, *stayers, leaver)
        await guests.right(WITHIN)
        yield found
        await found.signal()
        assert guests.gone(found.staying) == []
        assert guests.violations == []


async def guest(
    http: httpx.AsyncClient, guests: ObserverGroup, number: int, gateways: list[str], rooms: list[str]
) -> PresenceObserver:
    order = gateways if number % 2 else gateways[::-1]
    token, user = await sign_in(http, order[0], f"guest{number}")
    mine = [rooms[(number + step) % ROOMS] for step in range(EACH)]
    for room in mine:
        await join_room(http, order[0], room, token)
    return guests.add(token, user, order, mine)


def second_device(guests: ObserverGroup, first: PresenceObserver) -> PresenceObserver:
    return guests.add(first.token, first.user, first.gateways[::-1], list(first.lists))


def holder(stack: Stack, room: str) -> Service:
    """Return the replica that took the room's shard over last."""

    def taken_at(replica: Service) -> str:
        lines = log_lines(replica.log, "shard taken over")
        return max((str(line["at"]) for line in lines if line["shard"] == shard(room)), default="")

    return max(stack.presence, key=taken_at)


async def acquainted(stack: Stack) -> None:
    """Wait until every replica has heard of every gateway."""
    async with asyncio.timeout(WITHIN):
        for replica in stack.presence:
            while await metric(replica.url, "warren_presence_gateways") < len(stack.gateways):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


async def logged(service: Service, text: str, before: int) -> None:
    """Wait until a service has logged this more often than before: a log is a file, there is nothing to wait on."""
    async with asyncio.timeout(WITHIN):
        while len(log_lines(service.log, text)) <= before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_gateway_is_killed(stack: Stack, rounds: int, record: Record) -> None:
    """Who comes back within the grace, by the other gateway, is shown on. Who does not is offline after the lease."""
    async with party(stack) as found:
        for number in range(rounds):
            gateway, other = stack.gateways[number % 2], stack.gateways[1 - number % 2]
            late = found.stayers[3]
            await found.observers.go(found.leaver)
            found.leaver.gateways = late.gateways = [gateway.url]
            late.drop()
            found.observers.come(found.leaver)
            await found.observers.right(WITHIN)
            # Shown by way of this gateway, and not because of their grace.
            await flip(found.leaver)
            await flip(late)
            await found.observers.right(WITHIN)

            killed = time.monotonic()
            gateway.kill()
            await found.observers.go(found.leaver, late)
            late.gateways = [other.url]
            await asyncio.sleep(GRACE - 1)  # not a wait for something: how long they are away
            found.observers.come(late)
            found.observers.come(found.joiner)
            record("seen after a gateway's death", await found.seen(time.monotonic(), WITHIN))
            await found.observers.right(OFFLINE_WITHIN)
            record("offline after a gateway's death", time.monotonic() - killed)
            gone = found.observers.gone([found.leaver.user], since=killed)
            assert min(shown.at for shown in gone) - killed > GRACE
            await begin(gateway)
            await found.swap()


async def test_the_active_replica_is_killed(stack: Stack, rounds: int, record: Record) -> None:
    async with party(stack) as found:
        for _ in range(rounds):
            replica = holder(stack, next(iter(found.joiner.lists)))
            replica.kill()
            killed = await found.change()
            # The short form runs beside other tests, and asserts no seconds that they could take.
            record("right after a replica's death", await found.seen(killed, RIGHT_WITHIN if rounds > 1 else WITHIN))
            await found.observers.right(WITHIN)
            record("offline after a replica's death", time.monotonic() - killed)
            gone = found.observers.gone([found.leaver.user], since=killed)
            assert min(shown.at for shown in gone) - killed > GRACE - SAME_MOMENT
            await begin(replica)
            await found.swap()


async def test_a_gateway_that_answers_late_is_waited_for(stack: Stack, rounds: int, record: Record) -> None:
    """Whoever takes over does not take the people of a gateway for gone that has not said yet who they are.

    As long as it knows of the gateway: one that has just started waits a second for those that it does not know of.
    """
    async with party(stack) as found:
        for number in range(rounds):
            await acquainted(stack)
            gateway, replica = stack.gateways[number % 2], holder(stack, next(iter(found.beacon.lists)))
            gateway.pause()
            try:
                replica.kill()
                await asyncio.sleep(LATE)  # not a wait for something: by how much the answer is late
            finally:
                gateway.resume()
            record("right after a late answer", await found.signal())
            await begin(replica)  # not while the gateway is silent: a start may take as long as its lease


async def test_the_active_replica_is_halted_until_another_took_over(stack: Stack, rounds: int, record: Record) -> None:
    async with party(stack) as found:
        for _ in range(rounds):
            replica = holder(stack, next(iter(found.joiner.lists)))
            lost = len(log_lines(replica.log, "broker lost"))
            replica.pause()
            try:
                halted = await found.change()
                record("right after a replica was halted", await found.seen(halted, WITHIN))
                await found.observers.right(WITHIN)
            finally:
                replica.resume()
            await logged(replica, "broker lost", lost)
            await found.swap()


async def test_the_broker_is_killed(stack: Stack, rounds: int, record: Record) -> None:
    async with party(stack) as found:
        for _ in range(rounds):
            stack.rabbitmq.kill()
            await found.change()
            await asyncio.to_thread(stack.rabbitmq.start)
            record("right after the broker's restart", await found.seen(time.monotonic(), WITHIN))
            await found.swap()


async def test_announcements_are_lost(stack: Stack, rounds: int, record: Record) -> None:
    """What nobody heard of is noticed by the next heartbeat."""
    async with party(stack) as found:
        for _ in range(rounds):
            async with unbound(stack, {shard(room) for room in found.joiner.lists}):
                await found.change()
                await announced(found)
                assert found.observers.wrong()
            record("right after announcements were lost", await found.seen(time.monotonic(), WITHIN))
            await found.swap()


@pytest.mark.usefixtures("in_long_form")
async def test_a_shard_that_hears_nothing_is_let_go_and_taken_again(stack: Stack, record: Record) -> None:
    async with party(stack) as found:
        replica = holder(stack, next(iter(found.joiner.lists)))
        before = len(log_lines(replica.log, "shard released"))
        async with unbound(stack, {shard(room) for room in found.joiner.lists}):
            await found.change()
            await announced(found)
            await logged(replica, "shard released", before)
            assert found.observers.wrong()
        record("right after a shard's silence", await found.seen(time.monotonic(), WITHIN))


@pytest.mark.usefixtures("in_long_form")
@pytest.mark.parametrize("seconds", [HEARTBEATS_LOST, LEASE + 3])
async def test_a_gateway_is_halted(stack: Stack, record: Record, seconds: float) -> None:
    """Less than a lease long, nobody is shown going. After one its people are, until it goes on."""
    async with party(stack) as found:
        gateway = stack.gateways[0]
        theirs = {one.user for one in (*found.stayers, found.beacon) if one.gateways[0] == gateway.url}
        gateway.pause()
        try:
            await asyncio.sleep(seconds)  # not a wait for something: how long it is halted
        finally:
            gateway.resume()
        record(f"right after a gateway was halted for {seconds:.0f} s", await found.signal())
        if seconds > LEASE:
            assert {shown.user for shown in found.observers.gone(found.staying)} <= theirs
            found.observers.shown.clear()


@pytest.mark.usefixtures("in_long_form")
async def test_a_gateway_is_stopped_and_then_the_active_replica_killed(stack: Stack, record: Record) -> None:
    """As when all of it is brought up to date: a gateway that said goodbye is not waited for."""
    async with party(stack) as found:
        gateway = stack.gateways[0]
        await asyncio.to_thread(gateway.stop)
        await found.signal()
        replica = holder(stack, next(iter(found.joiner.lists)))
        replica.kill()
        record("right after goodbye and a replica's death", await found.seen(await found.change(), WITHIN))
        await begin(gateway)
        await begin(replica)


@pytest.mark.usefixtures("in_long_form")
async def test_both_replicas_are_killed(stack: Stack, record: Record) -> None:
    """Those that come instead remember nobody."""
    async with party(stack) as found:
        for replica in stack.presence:
            replica.kill()
        killed = await found.change()
        for replica in stack.presence:
            await begin(replica)
        record("right after the death of all replicas", await found.seen(killed, WITHIN))


@pytest.mark.usefixtures("in_long_form")
@pytest.mark.parametrize("link", ["gateway/gateway-1/publish", "gateway/gateway-1/live", "presence/"])
async def test_a_connection_to_the_broker_is_closed(stack: Stack, record: Record, link: str) -> None:
    async with party(stack) as found:
        closing = asyncio.to_thread(close_connections, stack, link)
        changing = asyncio.create_task(found.change())
        assert await closing >= 1
        record(f"right after {link} was closed", await found.seen(await changing, WITHIN))


@pytest.mark.usefixtures("in_long_form")
async def test_people_come_and_go_while_replicas_die(stack: Stack, rounds: int) -> None:
    """Whoever comes, goes, is cut off, changes gateways or their status at whatever moment, the lists come right."""
    async with party(stack) as found:
        restless = [second_device(found.observers, one) for one in (*found.stayers[5:], found.leaver, found.joiner)]
        running = asyncio.Event()
        running.set()
        lives = [asyncio.create_task(restless_life(found.observers, one, running)) for one in restless]
        for number in range(rounds):
            replica = stack.presence[number % 2]
            replica.kill()
            await begin(replica)
            await asyncio.sleep(random.uniform(0, GRACE))  # any moment is as good as any other
        running.clear()
        await run_concurrently(*lives)
        await found.signal()


async def restless_life(people: ObserverGroup, one: PresenceObserver, running: asyncio.Event) -> None:
    while running.is_set():
        if not one.here:
            one.gateways = one.gateways[::-1]
            people.come(one)
        elif random.random() < 0.5:
            await people.go(one)
        elif random.random() < 0.5:
            await flip(one)
        else:
            one.drop()
        await asyncio.sleep(random.expovariate(1.0))


async def announced(found: Party) -> None:
    """Wait until the one who came has joined, and their gateway has announced it, to nobody."""
    async with asyncio.timeout(WITHIN):
        while not found.joiner.joined:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(5 * TICK)  # what goes nowhere cannot be waited for


@asynccontextmanager
async def unbound(stack: Stack, shards: set[int]) -> AsyncIterator[None]:
    """Let everything that is said to these shards go nowhere meanwhile."""
    async with await aio_pika.connect(stack.rabbitmq.url) as connection:
        channel = await connection.channel()
        queues = {number: await channel.get_queue(presence_queue(number), ensure=False) for number in shards}
        for number, queue in queues.items():
            await queue.unbind(PRESENCE, shard_key(number))
        try:
            yield
        finally:
            for number, queue in queues.items():
                await queue.bind(PRESENCE, shard_key(number))


def close_connections(stack: Stack, name: str) -> int:
    """Have the broker close the connections whose names begin so; return how many there were."""
    rows = rabbitmqctl(stack, "list_connections", "pid", "client_properties").splitlines()
    found = [row.split("\t")[0] for row in rows if f'"connection_name","{name}' in row.replace(" ", "")]
    for pid in found:
        rabbitmqctl(stack, "close_connection", pid, "fault")
    return len(found)
