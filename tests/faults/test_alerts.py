"""Every alert fires when what it is for befalls a real stack, and none before that.

Prometheus, its configuration and the rules are those of deploy/prometheus, thresholds and all, with seconds where the
rules have minutes.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import httpx
import pymongo
import pytest
from conftest import BASE_PORT
from harness.background import background_tasks
from harness.bots import end, give_logins, rabbitmqctl, start, until
from harness.broker_client import connect_broker, send_command
from harness.client_pool import ClientPool, make_client_pool, sending
from harness.concurrency import run_concurrently
from harness.direct_insert import insert_directly
from harness.jwks import KeyServer
from harness.observability import metric
from harness.prometheus import MISSING, Prometheus, alerts, prometheus
from harness.raw_clients import message, raw_sign_in
from harness.resilient_client import bearer, fresh_room, make_room
from harness.stack import Stack, begin
from harness.tokens import SigningKey, token
from warren.contract.topology import COMMANDS, EVENTS, event_key, shard, shard_key
from warren_local.ports import HOST
from warren_local.service import Service

PROGRAM = prometheus()
if PROGRAM is None:
    pytest.skip(MISSING, allow_module_level=True)

BASE = BASE_PORT + 3_000
HEARTBEAT = 2
WITHIN = 60.0
"""Seconds for an alert to fire, or to end; a bound, not an expectation."""
PAUSE = 2.0
"""Seconds: longer than the alerts on latency allow, shorter than a broker's patience with a silent consumer."""
PATIENCE = HEARTBEAT * 4
"""Seconds after which the broker has given a silent consumer up."""
ROOMS = 20
"""So many have holes when a gateway has lost its queue: more than one a second, over the rules' window."""
LOOKS = 30
"""That Prometheus takes at each target before an alert would count: a few more than the rules look back on."""
BACKLOG = 1_100
SLOW = 12
"""Clients that do not read: more than one a second, over the rules' window."""


@dataclass(frozen=True, slots=True)
class World:
    """What befalls things, and whoever watches."""

    stack: Stack
    prometheus: Prometheus
    pool: ClientPool
    keyed: Service
    """A gateway that takes an issuer's tokens."""
    keys: KeyServer
    bots: dict[str, str]
    """Where each bot connects."""
    folder: Path

    @property
    def room(self) -> str:
        """One of the client pool's rooms."""
        return next(iter(self.pool.members[0].logs))


Happening = Callable[[World], AsyncIterator[None]]


@dataclass(frozen=True, slots=True)
class Cause:
    """What may happen, and the alerts that must fire while it does."""

    happens: Callable[[World], AbstractAsyncContextManager[None]]
    alerts: frozenset[str]
    alone: bool
    """Whether it would be in the way of others, or bring their alerts, too."""


CAUSES: dict[str, Cause] = {}


def fires(*alerts: str, alone: bool = False) -> Callable[[Happening], Happening]:
    def register(happening: Happening) -> Happening:
        name = happening.__name__.replace("_", " ")
        CAUSES[name] = Cause(asynccontextmanager(happening), frozenset(alerts), alone)
        return happening

    return register


async def repeat(act: Callable[[], Awaitable[object]], every: float = 0.2) -> None:
    """Do it over and over."""
    while True:
        await act()
        await asyncio.sleep(every)  # how often it happens, not a wait for something


async def halt(world: World, seconds: float) -> None:
    """Halt the gateways, all of them since clients go to whichever works; others go on talking meanwhile."""
    async with connect_broker(world.stack.amqp_url("gateway")) as other:
        for gateway in world.stack.gateways:
            gateway.pause()
        try:
            for member in world.pool.members:
                for room in member.logs:
                    await other.command(send_command(room, member.user, "while nobody looks"))
            await asyncio.sleep(seconds)  # the length of the halt
        finally:
            for gateway in world.stack.gateways:
                gateway.resume()


@fires("WarrenReplicaDown")
async def a_gateway_is_killed(world: World) -> AsyncIterator[None]:
    gateway = world.stack.gateways[1]
    gateway.kill()
    try:
        yield
    finally:
        await begin(gateway)


@fires("WarrenServiceGone", alone=True)
async def presence_is_not_found_any_more(world: World) -> AsyncIterator[None]:
    everything = world.prometheus.targets
    world.prometheus.aim({**everything, "presence": []})
    try:
        yield
    finally:
        world.prometheus.aim(everything)


@fires(
    "WarrenReplicaNotReady", "WarrenStoreAway", "WarrenNothingIsStored", "WarrenSendsFail", "WarrenAcksSlow",
    "WarrenCannotSend", "WarrenCannotRead", alone=True,
)  # fmt: skip
async def mongodb_is_away(world: World) -> AsyncIterator[None]:
    await asyncio.to_thread(world.stack.mongodb.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(world.stack.mongodb.start)


@fires("WarrenBrokerAlarm", "WarrenCannotSend", "WarrenCannotRead", alone=True)
async def rabbitmq_lacks_memory(world: World) -> AsyncIterator[None]:
    await asyncio.to_thread(rabbitmqctl, world.stack, "set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        await asyncio.to_thread(rabbitmqctl, world.stack, "set_vm_memory_high_watermark", "0.4")


@fires("WarrenBrokerNodeDown", "WarrenReplicaNotReady", alone=True)
async def rabbitmq_is_away(world: World) -> AsyncIterator[None]:
    await asyncio.to_thread(world.stack.rabbitmq.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(world.stack.rabbitmq.start)


@fires("WarrenBacklog", "WarrenNothingIsStored", alone=True)
async def nobody_writes(world: World) -> AsyncIterator[None]:
    for service in world.stack.persistence:
        await asyncio.to_thread(service.stop)
    try:
        async with connect_broker(world.stack.amqp_url("gateway")) as gateway:
            user = world.pool.members[0].user
            await run_concurrently(*(gateway.command(send_command(world.room, user, f"{n}")) for n in range(BACKLOG)))
        yield
    finally:
        await begin(*world.stack.persistence)


@fires("WarrenDeliverySlow", alone=True)
async def gateways_halt_now_and_then(world: World) -> AsyncIterator[None]:
    async with background_tasks(repeat(lambda: halt(world, PAUSE), every=1.0)):
        yield


@fires("WarrenHoles", alone=True)
async def gateways_halt_for_so_long_that_their_queues_are_gone(world: World) -> AsyncIterator[None]:
    await halt(world, PATIENCE)
    yield


@fires("WarrenWritersDispute")
async def another_writer_is_there_first(world: World) -> AsyncIterator[None]:
    """As a writer does that was paused past its heartbeat, in the middle of its commit."""
    room, user = fresh_room("disputed"), "ann"
    async with httpx.AsyncClient() as http, connect_broker(world.stack.amqp_url("gateway")) as gateway:
        await make_room(http, world.stack.gateways[0].url, room, token(user))
        head = await gateway.fill(room, user, ["cached"])
        for number in range(6):
            url, said = world.stack.mongodb.url, {"type": "message", "number": 2 * number + 2, "text": "late"}
            await asyncio.to_thread(lambda: insert_directly(url, room, head + 1, user, **said))  # noqa: B023
            head = await gateway.fill(room, user, ["and on"])
        yield


@fires("WarrenDeadLetters")
async def somebody_sends_what_is_no_command(world: World) -> AsyncIterator[None]:
    async with connect_broker(world.stack.amqp_url("gateway")) as gateway:
        await gateway.publish(COMMANDS, shard_key(shard(world.room)), b"no command")
        yield


@fires("WarrenFailures")
async def events_come_that_no_gateway_can_read(world: World) -> AsyncIterator[None]:
    """As of a persistence replica that has a bug."""
    async with await aio_pika.connect(world.stack.amqp_url("persistence")) as connection:
        exchange = await (await connection.channel()).get_exchange(EVENTS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{}"), event_key(world.room))
        yield


@fires("WarrenBotGivesUp")
async def a_bot_fails_at_everything(world: World) -> AsyncIterator[None]:
    port = BASE + 251
    env = {
        "WARREN_AMQP_URL": world.bots["raises"], "WARREN_METRICS_PORT": str(port), "WARREN_ROGUE_ROOM": world.room,
    }  # fmt: skip
    bot = start(sys.executable, "-m", "harness.faulty_bots", "raises", log=world.folder / "raises.log", **env)
    try:
        yield
    finally:
        await asyncio.to_thread(end, bot)


@fires("WarrenBotRefused")
async def a_stolen_login_speaks_for_others(world: World) -> AsyncIterator[None]:
    async with AsyncExitStack() as exits:
        thief = await exits.enter_async_context(connect_broker(world.bots["thief"]))
        said = send_command(world.room, "ann", "I never said that")
        await exits.enter_async_context(background_tasks(repeat(lambda: thief.command(said))))
        yield


@fires("WarrenSlowConsumers")
async def clients_do_not_read(world: World) -> AsyncIterator[None]:
    service, person = world.stack.gateways[0], world.pool.members[0]

    async def cut() -> bool:
        await gateway.fill(world.room, person.user, ["x" * 4_000] * 200)
        return await metric(service.url, "warren_slow_consumers_total") >= before + SLOW

    async with AsyncExitStack() as exits, connect_broker(world.stack.amqp_url("gateway")) as gateway:
        for _ in range(SLOW):
            client = await raw_sign_in(service.url, person.token, receive_buffer=4_096)
            exits.callback(client.abort)
            await client.push(message(type="join", room=world.room))
            await client.read_json("joined")
            client.stop_reading()
        before = await metric(service.url, "warren_slow_consumers_total")
        await until(cut)
        yield


@fires("WarrenPresenceMissing")
async def presence_stops(world: World) -> AsyncIterator[None]:
    await asyncio.to_thread(world.stack.presence[0].stop)
    try:
        yield
    finally:
        await begin(*world.stack.presence)


@fires("WarrenTokensRefused")
async def somebody_tries_tokens(world: World) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=world.stack.gateways[0].url, headers=bearer("guessed")) as http:

        async def guess() -> None:
            answers = await run_concurrently(*(http.get("/v1/rooms") for _ in range(10)))
            assert {answer.status_code for answer in answers} == {401}

        async with background_tasks(repeat(guess)):
            yield


@fires("WarrenKeysNotRead")
async def the_issuers_keys_cannot_be_read(world: World) -> AsyncIterator[None]:
    world.keys.broken = True
    try:
        yield
    finally:
        world.keys.broken = False


@fires("WarrenDatabaseReplaced", alone=True)
async def a_backup_is_restored(world: World) -> AsyncIterator[None]:
    """As docs/operations.md has it; what the backup holds does not matter here."""
    for service in (*world.stack.persistence, *world.stack.presence):
        await asyncio.to_thread(service.stop)
    client: pymongo.MongoClient[dict[str, object]]
    with pymongo.MongoClient(world.stack.mongodb.url) as client:
        assert client.get_default_database().meta.delete_one({"_id": "epoch"}).deleted_count == 1
    await begin(*world.stack.persistence, *world.stack.presence)
    yield


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with KeyServer().running() as server:
        server.publish(SigningKey("k1"))
        yield server


@pytest.fixture(scope="module")
def stack(home: Path, keys: KeyServer) -> Iterator[Stack]:
    """Start a stack of its own, since this one is not spared."""
    stack = Stack(home / "alerts", BASE, presence=1, heartbeat=HEARTBEAT, plugins=["rabbitmq_prometheus"])
    with stack.running():
        yield stack


@pytest.fixture(scope="module")
def keyed(stack: Stack, keys: KeyServer) -> Iterator[Service]:
    """Run a gateway that takes an issuer's tokens."""
    env = {
        "WARREN_AUTH": "jwt", "WARREN_SECRET": "", "WARREN_JWKS": keys.url, "WARREN_ISSUER": "tests",
        "WARREN_JWKS_SECONDS": "0.5",
    }  # fmt: skip
    with stack.extra("gateway", 3, **env) as service:
        service.wait_ready(WITHIN)
        yield service


@pytest.fixture(scope="module")
def watching(stack: Stack, keyed: Service) -> Iterator[Prometheus]:
    """Have Prometheus watch all of it."""
    assert PROGRAM is not None

    def places(services: Sequence[Service]) -> list[str]:
        return [f"{HOST}:{service.port}" for service in services]

    broker = [stack.plugin_address("rabbitmq_prometheus")]
    targets = {
        "gateway": places([*stack.gateways, keyed]),
        "persistence": places(stack.persistence),
        "presence": places(stack.presence),
        "bot": [f"{HOST}:{BASE + 251}"],
        "rabbitmq": broker,
        "rabbitmq-queues": broker,
    }
    with Prometheus(PROGRAM, stack.home, BASE + 450, targets) as process:
        process.wait_ready()
        yield process


@pytest.fixture(scope="module")
async def world(
    stack: Stack, keyed: Service, keys: KeyServer, watching: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Have people chat all the time."""
    gateways = [gateway.url for gateway in stack.gateways]
    members = await make_client_pool(gateways, rooms=ROOMS, per_room=2)
    room = next(iter(members[0].logs))
    bots = await asyncio.to_thread(give_logins, stack, {"raises": [room], "thief": [room]})
    async with sending(members, gateways, pause=1.0) as pool:
        await pool.everyone_says(1)
        yield World(stack, watching, pool, keyed, keys, bots, tmp_path_factory.mktemp("alerts"))


async def test_none_fires_while_nothing_is_wrong(world: World) -> None:
    async def looked() -> bool:
        seen = await world.prometheus.ask("count_over_time(up[1m])")
        return min((count for _, count in seen), default=0) > LOOKS

    await until(looked)
    down = await world.prometheus.ask('up{job!="bot"} == 0')
    assert down == []
    assert await world.prometheus.fired(10) == set()


async def caused(world: World, names: Sequence[str]) -> None:
    """Have all of this happen at once, and wait for its alerts."""
    wanted = frozenset[str]().union(*(CAUSES[name].alerts for name in names))

    async def over() -> bool:
        return not wanted & await world.prometheus.firing()

    async def firing() -> bool:
        return wanted <= await world.prometheus.fired(time.monotonic() - begun)

    await until(over)
    begun = time.monotonic()
    async with AsyncExitStack() as exits:
        for name in names:
            await exits.enter_async_context(CAUSES[name].happens(world))
        try:
            await until(firing)
        except TimeoutError:
            fired = await world.prometheus.fired(time.monotonic() - begun)
            pytest.fail(f"{wanted - fired} did not fire, only {fired}")
    await world.pool.everyone_says(1)


async def test_they_fire_when_they_should(world: World) -> None:
    await caused(world, [name for name, cause in CAUSES.items() if not cause.alone])


@pytest.mark.parametrize("name", [name for name, cause in CAUSES.items() if cause.alone])
async def test_it_fires_when_it_should(world: World, name: str) -> None:
    await caused(world, [name])


def test_each_has_a_cause() -> None:
    assert set(alerts()) == set().union(*(cause.alerts for cause in CAUSES.values()))


def test_each_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `Warren")]
    assert rows == [f"`{name}` ({rule['labels']['severity']})" for name, rule in alerts().items()]
