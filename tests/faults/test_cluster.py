"""One node of three dies and people go on: what befalls clusters of the broker and of the store, and what it costs.

In the suite one of the faults is tried for what must hold. `./dev faults --cluster` tries them all, and prints for how
long nobody was served.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import BASE_PORT
from harness.cluster import BrokerNode, Cluster, clustered
from harness.concurrency import run_concurrently
from harness.outage import ROWS, OutageProbe, Row, probing
from harness.replica_set import Member
from harness.stack import begin
from warren.broker.definitions import PATIENCE

WITHIN = 120.0
"""Seconds for servers to be whole again; a bound, not an expectation."""
QUIET = 3.0
"""Seconds before a fault and after it."""
WATERMARK, NOTHING = "0.6", "0.000001"
"""How much of the memory a node may use: RabbitMQ's default, and what any node exceeds."""
ONE_NODE, ROLLING, ONE_MEMBER = (5.0, 5.0), (3.0, 3.0), (8.0, 8.0)
"""Seconds that one may have neither acks nor pages, by what befalls whom."""
MORE = 5.0
"""Seconds beyond its own length that an outage may cost where no majority is left."""

Wait = Callable[[float], Awaitable[None]]
"""Lets a fault last: for so many seconds, or in the suite until everybody is served."""
Act = Callable[[Cluster, Wait], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done; what it may cost, `None` being its own length and MORE; what it cost once, acks and reads.

    `prepared`: what is done before anybody talks.
    """

    name: str
    act: Act
    bars: tuple[float, float] | None
    once: tuple[str, str]
    prepared: Callable[[Cluster], Awaitable[None]] | None = None


async def killed(cluster: Cluster, wait: Wait) -> None:
    node = cluster.busiest()
    node.kill()
    await wait(30)
    await started(node)


async def gone(cluster: Cluster, wait: Wait) -> None:
    cluster.busiest().kill()
    await wait(90)


async def halted(cluster: Cluster, wait: Wait) -> None:
    node = cluster.busiest()
    node.pause()
    await wait(60)
    node.resume()


async def cut_off_with_clients(cluster: Cluster, wait: Wait) -> None:
    await cut_off(cluster, cluster.busiest(), wait, 60, clients=True)


async def cut_off_from_all(cluster: Cluster, wait: Wait) -> None:
    await cut_off(cluster, cluster.busiest(), wait, 60, clients=False)


async def cut_off_alone(cluster: Cluster, wait: Wait) -> None:
    await cut_off(cluster, cluster.idlest(), wait, 60, clients=True)


async def two_killed(cluster: Cluster, wait: Wait) -> None:
    nodes = cluster.rabbitmq.members[:2]
    for node in nodes:
        node.kill()
    await wait(40)
    await started(*nodes)


async def memory_alarm(cluster: Cluster, wait: Wait) -> None:
    node = cluster.busiest()
    await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", NOTHING)
    await wait(30)
    await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", WATERMARK)


async def brokers_restarted(cluster: Cluster, _: Wait) -> None:
    """As Kubernetes' operator does it."""
    for node in cluster.rabbitmq.members:
        await asyncio.to_thread(node.ctl, "await_online_quorum_plus_one", program="rabbitmq-upgrade")
        await asyncio.to_thread(node.ctl, "drain", program="rabbitmq-upgrade")
        await asyncio.to_thread(node.stop)
        await started(node)


async def primary_killed(cluster: Cluster, wait: Wait) -> None:
    member = await primary(cluster)
    member.kill()
    await wait(30)
    await started(member)


async def primary_steps_down(cluster: Cluster, wait: Wait) -> None:
    await asyncio.to_thread((await primary(cluster)).step_down)
    await wait(10)


async def primary_halted(cluster: Cluster, wait: Wait) -> None:
    member = await primary(cluster)
    member.pause()
    await wait(30)
    member.resume()


async def primary_cut_off(cluster: Cluster, wait: Wait) -> None:
    await cut_off(cluster, await primary(cluster), wait, 40, clients=False)


async def primary_cut_off_with_clients(cluster: Cluster, wait: Wait) -> None:
    await cut_off(cluster, await primary(cluster), wait, 40, clients=True)


async def secondary_halted(cluster: Cluster, wait: Wait) -> None:
    member = (await asyncio.to_thread(cluster.mongodb.secondaries))[0]
    member.pause()
    await wait(30)
    member.resume()


async def members_restarted(cluster: Cluster, _: Wait) -> None:
    for member in (*await asyncio.to_thread(cluster.mongodb.secondaries), await primary(cluster)):
        await asyncio.to_thread(member.stop)
        await started(member)
        await asyncio.to_thread(cluster.mongodb.wait_in_step)


async def store_away(cluster: Cluster, wait: Wait) -> None:
    await asyncio.to_thread(cluster.mongodb.kill)
    await wait(PATIENCE / 1_000 * 3)
    await asyncio.to_thread(cluster.mongodb.start)


async def everything_killed(cluster: Cluster, wait: Wait) -> None:
    for process in (*cluster.rabbitmq.members, *cluster.mongodb.members, *cluster.services):
        process.kill()
    await wait(3)
    for service in cluster.services:
        service.start()
    await run_concurrently(*(asyncio.to_thread(server.start) for server in (cluster.rabbitmq, cluster.mongodb)))


async def leave_one_out(cluster: Cluster) -> None:
    """Have nobody connected to one of the nodes."""
    await restarted(cluster, *cluster.rabbitmq.members[:-1])


ALL = (
    Fault("a broker node killed, back after 30 s", killed, ONE_NODE, ("25-62", "0-35")),
    Fault("a broker node gone for good", gone, ONE_NODE, ("42-60, by hand", "5")),
    Fault("a broker node halted", halted, ONE_NODE, ("36-61", "56")),
    Fault("a broker node cut off with its clients", cut_off_with_clients, ONE_NODE, ("all the time", "on and off")),
    Fault("a broker node cut off from everything", cut_off_from_all, ONE_NODE, ("-", "-")),
    Fault("a broker node cut off that has no clients", cut_off_alone, ONE_NODE, ("0.4", "97"), leave_one_out),
    Fault("two broker nodes killed", two_killed, None, ("44.5 of 40", "46")),
    Fault("a memory alarm", memory_alarm, None, ("30.9 of 30", "25")),
    Fault("rolling restart of RabbitMQ", brokers_restarted, ROLLING, ("4.0", "9")),
    Fault("MongoDB's primary killed, back after 30 s", primary_killed, ONE_MEMBER, ("11.2", "10")),
    Fault("MongoDB's primary steps down", primary_steps_down, ROLLING, ("1.1", "0")),
    Fault("MongoDB's primary halted", primary_halted, ONE_MEMBER, ("20.6", "10")),
    Fault("MongoDB's primary cut off from everything", primary_cut_off, ONE_MEMBER, ("19.7", "0")),
    Fault("MongoDB's primary cut off with its clients", primary_cut_off_with_clients, ONE_MEMBER, ("-", "-")),
    Fault("a secondary of MongoDB halted", secondary_halted, ONE_MEMBER, ("-", "-")),
    Fault("rolling restart of MongoDB", members_restarted, ROLLING, ("-", "-")),
    Fault("MongoDB away for three consumer timeouts", store_away, None, ("its length + 12", "its length")),
    Fault("everything killed, started after 3 s", everything_killed, None, ("19.2", "20")),
)
SHORT = tuple(fault for fault in ALL if fault.act is primary_killed)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try all faults if that is asked for."""
    faults = ALL if metafunc.config.getoption("--cluster") else SHORT
    metafunc.parametrize("fault", faults, ids=[fault.name for fault in faults])


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Cluster]:
    """Start a cluster for all faults of this file."""
    with clustered(home / "cluster", BASE_PORT + 3_500) as cluster:
        yield cluster


async def primary(cluster: Cluster) -> Member:
    return await asyncio.to_thread(cluster.mongodb.primary)


async def started(*members: BrokerNode | Member) -> None:
    await run_concurrently(*(asyncio.to_thread(start, member) for member in members))


def start(member: BrokerNode | Member) -> None:
    member.start()
    member.wait_ready(WITHIN)


async def cut_off(cluster: Cluster, member: BrokerNode | Member, wait: Wait, seconds: float, *, clients: bool) -> None:
    cluster.cut_off(member, clients=clients)
    await wait(seconds)
    cluster.heal()


async def restarted(cluster: Cluster, *known: BrokerNode) -> None:
    """Start the services anew, so that they know these nodes, or all."""
    cluster.know(*known)
    await run_concurrently(*(asyncio.to_thread(service.stop) for service in cluster.services))
    await begin(*cluster.services, within=WITHIN)


@asynccontextmanager
async def mended(cluster: Cluster, fault: Fault) -> AsyncIterator[None]:
    """Leave the cluster as it was, whatever has been done to it."""
    if fault.prepared is not None:
        await fault.prepared(cluster)
    try:
        yield
    finally:
        await asyncio.to_thread(cluster.mend)
        ended = [service for service in cluster.services if not service.running]
        await begin(*ended, within=WITHIN)
        if fault.prepared is not None:
            await restarted(cluster)


async def test_people_go_on(cluster: Cluster, fault: Fault, request: pytest.FixtureRequest) -> None:
    """Everybody is acked and reads again, in the suite while what is broken still is; nothing is lost or twice."""
    measured = request.config.getoption("--cluster")
    async with mended(cluster, fault):
        async with probing([gateway.url for gateway in cluster.gateways]) as watch:
            await watch.served()
            with measuring(fault, watch) if measured else contextlib.nullcontext():
                await suffered(cluster, fault, watch, asyncio.sleep if measured else lambda _: watch.served())
            await watch.finish()
            assert await watch.pool.violations(cluster.mongodb.url) == []
        assert {service.name: service.ending for service in cluster.services if not service.running} == {}


async def suffered(cluster: Cluster, fault: Fault, watch: OutageProbe, wait: Wait) -> None:
    """Let it happen, until everybody is served again."""
    await asyncio.sleep(QUIET)
    with watch.broken():
        await fault.act(cluster, wait)
    await watch.served()
    await asyncio.sleep(QUIET)


@contextmanager
def measuring(fault: Fault, watch: OutageProbe) -> Iterator[None]:
    """Write down what it costs, also if nobody is ever served again."""
    began = time.monotonic()
    try:
        yield
    finally:
        bars = fault.bars or (watch.lasted + MORE, watch.lasted + MORE)
        ROWS.append(Row(fault.name, watch.lasted, watch.outage(began), bars, fault.once))
