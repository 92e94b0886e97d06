"""A storm of joins: `./dev bench presence`.

So many people, each a member of one of 20 rooms and connected to one gateway, join their rooms as fast as it lets them;
over when every one of them sees the whole of their room, by name or, in rooms of more than 200, by number. What the
presence service spends on a join must not grow with how many there are in the room.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import httpx
import psutil
import uvloop
from harness.resilient_client import fresh_room, join_room, make_room
from harness.stack import Stack
from harness.tokens import token
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from prometheus_client.parser import text_string_to_metric_families
from pydantic_core import from_json

from benchmarks.cpu import CpuMeter, cpu_seconds, loop_seconds
from benchmarks.report import verdict
from benchmarks.warren import AT_ONCE, pids, running_stack

ROOMS = 20
SIZES = (500, 2_000, 5_000)
SETTLE = 120.0
"""Seconds for a storm to be over."""
QUIET = 8.0
"""Seconds without joins: after those who left are gone, what the service costs by itself is measured for as long."""
GROWTH = 1.5
"""By how much a join at the largest size may cost more than at the smallest."""
JOINING = 500
"""Joins on their way at once, as those of people who come back with jitter: a query that waits for 5 s is refused."""
PARSED = 500
"""Parsed frames kept: all connections of a room get the same bytes."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="connections in each storm")
    uvloop.run(bench(parser.parse_args().sizes))


@dataclass(frozen=True, slots=True)
class Storm:
    """What one storm came to. Times are in seconds; `cpu` by process, `counted` by what the services count."""

    size: int
    joined: float
    right: float
    cpu: Mapping[str, float]
    idle: Mapping[str, float]
    """CPU seconds a second, by process, without joins."""
    counted: Mapping[str, float]

    def per_join(self, *names: str) -> float:
        """Return the CPU microseconds that these processes spent on a join, without what they spend anyhow."""
        return sum(self.cpu[name] - self.idle[name] * self.right for name in names) / self.size * 1e6


@dataclass(slots=True)
class ClientPool:
    """Everybody in a storm."""

    rooms: dict[str, int]
    """How many belong in each room."""
    clients: list["PresenceClient"] = field(default_factory=list)
    joined: int = 0
    right: int = 0
    over: bool = False
    wrong: str | None = None
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    parse: Callable[[bytes], dict[str, object]] = field(default_factory=lambda: lru_cache(PARSED)(from_json))
    """Return a frame, parsed once for all who get it."""

    async def until(self, what: str, number: int) -> None:
        """Wait until `joined` or `right` has come to so many."""
        async with asyncio.timeout(SETTLE):
            while getattr(self, what) < number:
                self.moved.clear()
                await self.moved.wait()
                if self.wrong:
                    raise AssertionError(self.wrong)


class PresenceClient(WSListener):
    """One connection, which keeps the list of its room as any client does."""

    def __init__(self, pool: ClientPool, room: str, user: str) -> None:
        self.pool = pool
        self.room = room
        self.user = user
        self.transport: WSTransport | None = None
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._people: set[str] = set()
        self._version = 0
        self._right = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say hello."""
        self.transport = transport
        self.say({"type": "hello", "token": token(self.user)})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what the gateway says."""
        if frame.msg_type == WSMsgType.TEXT:
            self._take(self.pool.parse(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Nobody may be cut."""
        if not self.pool.over:
            self.pool.wrong = f"{self.user} was cut: {transport.close_handshake}"
            self.pool.moved.set()

    def say(self, frame: Mapping[str, str]) -> None:
        """Send a frame."""
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def _take(self, frame: Mapping[str, object]) -> None:
        match frame["type"]:
            case "welcome":
                self.welcome.set_result(None)
            case "joined":
                self.pool.joined += 1
            case "presence":
                self._present(frame)
            case "error" | "bye":
                self.pool.wrong = str(frame)
        self.pool.moved.set()

    def _present(self, frame: Mapping[str, object]) -> None:
        match frame:
            case {"state": list(people)}:
                self._people = {person["user"] for person in people}
            case {"diff": list(people), "version": int(version)}:
                if version != self._version + 1:
                    self.pool.wrong = f"{self.user} got version {version} after {self._version}"
                self._people |= {person["user"] for person in people}
        self._version = int(str(frame["version"]))
        match frame:
            case {"count": {"online": int(online)}}:
                seen = online
            case _:
                seen = len(self._people)
        right = seen == self.pool.rooms[self.room]
        self.pool.right += right - self._right
        self._right = right


async def bench(sizes: Sequence[int]) -> None:
    """Raise a storm of each size and print what it cost."""
    async with running_stack(1, 2, 1) as stack:
        storms = [await storm(stack, size) for size in sizes]
    report(storms)


async def storm(stack: Stack, size: int) -> Storm:
    """Have so many join, and wait until all lists are right."""
    pool = await gather(stack, size)
    processes = pids(stack)
    await asyncio.sleep(QUIET)
    idle = CpuMeter(processes, precise)
    idle.start()
    await asyncio.sleep(QUIET)
    rest = {name: seconds / QUIET for name, seconds in idle.stop().items()}
    before, meter, started = await counters(stack), CpuMeter(processes, precise), time.perf_counter()
    meter.start()
    for number, client in enumerate(pool.clients):
        await pool.until("joined", number - JOINING)
        client.say({"type": "join", "room": client.room})
    await pool.until("joined", size)
    joined = time.perf_counter() - started
    await pool.until("right", size)
    right = time.perf_counter() - started
    cpu, after = meter.stop(), await counters(stack)
    pool.over = True
    for client in pool.clients:
        if client.transport is not None:
            client.transport.disconnect(graceful=False)
    counted = {name: after[name] - before.get(name, 0) for name in after}
    return Storm(size, joined, right, cpu, rest, counted)


def precise(pid: int) -> float:
    """Return the CPU seconds of a process: of services by their event loop, since they use little."""
    return loop_seconds(pid) if psutil.Process(pid).name().startswith("python") else cpu_seconds(pid)


async def gather(stack: Stack, size: int) -> ClientPool:
    """Make the rooms and their members, and connect everybody."""
    gateway = stack.gateways[0].url
    rooms = [fresh_room("storm") for _ in range(ROOMS)]
    pool = ClientPool({room: len(range(number, size, ROOMS)) for number, room in enumerate(rooms)})
    pool.clients = [PresenceClient(pool, rooms[number % ROOMS], f"s{size}-{number}") for number in range(size)]
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=60) as http:

        async def belong(client: PresenceClient) -> None:
            async with slots:
                await join_room(http, gateway, client.room, token(client.user))

        async def connect(client: PresenceClient) -> None:
            async with slots:
                await ws_connect(lambda: client, gateway.replace("http", "ws", 1) + "/v1/ws")
                await client.welcome

        for client in pool.clients[:ROOMS]:
            await make_room(http, gateway, client.room, token(client.user))
        await asyncio.gather(*map(belong, pool.clients))
        await asyncio.gather(*map(connect, pool.clients))
    return pool


async def counters(stack: Stack) -> dict[str, float]:
    """Return what the gateway and the presence service have counted."""
    found = {}
    async with httpx.AsyncClient() as http:
        for service in (stack.gateways[0], stack.presence[0]):
            text = (await http.get(f"{service.url}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found[".".join((sample.name, *sample.labels.values()))] = sample.value
    return found


def report(storms: Sequence[Storm]) -> None:
    """Print a column for each storm."""
    frames = [f"warren_presence_frames_total.{kind}" for kind in ("state", "diff", "count")]
    rows = {
        "members of each room": [storm.size / ROOMS for storm in storms],
        "all have joined after, s": [storm.joined for storm in storms],
        "all lists are right after, s": [storm.right for storm in storms],
        "presence: CPU a join, us": [storm.per_join("presence-1") for storm in storms],
        "presence: frames told a join": [
            sum(storm.counted.get(name, 0) for name in frames) / storm.size for storm in storms
        ],
        "gateway: CPU a join, us": [storm.per_join("gateway-1") for storm in storms],
        "gateway: frames sent a join": [storm.counted["warren_frames_sent_total"] / storm.size for storm in storms],
        "persistence: CPU a join, us": [storm.per_join("persistence-1", "persistence-2") for storm in storms],
        "RabbitMQ: CPU a join, us": [storm.per_join("rabbitmq") for storm in storms],
        "MongoDB: CPU a join, us": [storm.per_join("mongodb") for storm in storms],
        "presence at rest, % of a core": [storm.idle["presence-1"] * 100 for storm in storms],
    }
    print(f"{'connections':32}" + "".join(f"{storm.size:>10}" for storm in storms))
    for what, values in rows.items():
        print(f"{what:32}" + "".join(f"{value:10.2f}" for value in values))
    growth = storms[-1].per_join("presence-1") / storms[0].per_join("presence-1")
    verdict("presence CPU a join, largest storm over smallest", growth, "<=", GROWTH, "times")


if __name__ == "__main__":
    main()
