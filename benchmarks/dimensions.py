"""What a message costs as one thing grows and nothing else: the parts of `./dev bench growth`, a row for each size."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from harness.resilient_client import fresh_room
from harness.stack import Stack

from benchmarks.cpu import CpuMeter
from benchmarks.crowd import Crowd, quantile
from benchmarks.preload import make_rooms
from benchmarks.warren import pids, running_stack

Row = dict[str, float]
"""`x`, the size; `gateways`, `writers`, `rabbitmq`, `mongodb`: CPU µs a message, beyond what they take at rest;
`rest_…`: that, in % of a core; `ack`: the median, in ms; `elsewhere`: share of the machine that others took."""

REST = 6.0
"""Seconds for which processes are measured at rest."""
HEADS = 10.0
"""The same where there are many rooms, of which gateways compare the heads that often."""
RATE = 100.0
"""Messages a second, few enough that hardly any two meet."""
SLOW_RATE = 4.0
"""The same to all members of a large room: 20,000 deliveries a second to 5,000."""
ROOMS_EACH = 250
"""Rooms that one person follows, at most."""
QUIET_ROOM = 100
"""Idle people in a room."""


async def rooms(sizes: Sequence[int], _seconds: float) -> AsyncIterator[Row]:
    """Rooms of 2, each of which hears something now and then; as many people as it takes, 20 at least."""
    async with running_stack(2, 1, 1, WARREN_ROOMS_PER_CONNECTION="300") as stack, keeping(Crowd()) as crowd:
        for before, size in itertools.pairwise((0, *sizes)):
            names = [fresh_room("growth") for _ in range(size - before)]
            pairs = max(10, -(-len(names) // ROOMS_EACH))
            await populate(stack, crowd, {name: people(f"r{size}-{at % pairs}", 2) for at, name in enumerate(names)})
            yield {"x": size, **await measure(stack, crowd, HEADS, rest=HEADS)}


async def members(sizes: Sequence[int], seconds: float) -> AsyncIterator[Row]:
    """One room, all of whose members read along."""
    async with running_stack(2, 1, 1) as stack:
        for size in sizes:
            async with keeping(Crowd()) as crowd:
                await populate(stack, crowd, {fresh_room("growth"): people("m", size)})
                found = await measure(stack, crowd, seconds, SLOW_RATE)
                cpu = sum(found[name] for name in ("gateways", "writers", "rabbitmq", "mongodb"))
                yield {"x": size, **found, "delivery": cpu / size}


async def connections(sizes: Sequence[int], seconds: float) -> AsyncIterator[Row]:
    """Idle people in rooms of 100, who ping, beside 10 rooms of 10 in which something is said."""
    async with running_stack(2, 1, 1) as stack, keeping(Crowd()) as idle, keeping(Crowd()) as crowd:
        await populate(stack, crowd, {fresh_room("growth"): people("l", 10) for _ in range(10)})
        for before, size in itertools.pairwise((0, *sizes)):
            everybody = people(f"c{size}", size - before)
            groups = [everybody[at : at + QUIET_ROOM] for at in range(0, len(everybody), QUIET_ROOM)]
            await populate(stack, idle, {fresh_room("growth"): group for group in groups})
            yield {"x": size, **await measure(stack, crowd, seconds)}


async def gateways(sizes: Sequence[int], seconds: float) -> AsyncIterator[Row]:
    """So many gateways and one writer, 100 rooms of 10, the people of each room on all gateways."""
    for size in sizes:
        yield {"x": size, **await _replicas(size, 1, seconds)}


async def writers(sizes: Sequence[int], seconds: float) -> AsyncIterator[Row]:
    """So many writers and one gateway, 100 rooms of 10."""
    for size in sizes:
        yield {"x": size, **await _replicas(1, size, seconds)}


async def _replicas(gateways: int, writers: int, seconds: float) -> Row:
    async with running_stack(gateways, writers, 1) as stack, keeping(Crowd()) as crowd:
        await populate(stack, crowd, {fresh_room("growth"): people("s", 10) for _ in range(100)})
        return await measure(stack, crowd, seconds)


@asynccontextmanager
async def keeping(crowd: Crowd) -> AsyncIterator[Crowd]:
    """Have these people ping while they are there, and drop them in the end."""
    pinging = asyncio.create_task(crowd.keep_alive())
    try:
        yield crowd
    finally:
        pinging.cancel()
        crowd.close()


def people(prefix: str, number: int) -> list[str]:
    """Return user ids."""
    return [f"{prefix}-{at}" for at in range(number)]


async def populate(stack: Stack, crowd: Crowd, rooms: Mapping[str, Sequence[str]]) -> None:
    """Make rooms with these members, who all come, spread over the gateways."""
    await make_rooms(stack.mongodb.url, rooms)
    await gather(stack, crowd, rooms)


async def gather(stack: Stack, crowd: Crowd, rooms: Mapping[str, Sequence[str]]) -> None:
    """Have the members of rooms come."""
    followed: defaultdict[str, list[str]] = defaultdict(list)
    for room, users in rooms.items():
        for user in users:
            followed[user].append(room)
    for at, gateway in enumerate(stack.gateways):
        mine = {
            user: names for number, (user, names) in enumerate(followed.items()) if number % len(stack.gateways) == at
        }
        if mine:
            await crowd.add(websocket(gateway.url), mine)


def websocket(url: str) -> str:
    """Return where the WebSockets of a gateway are."""
    return url.replace("http", "ws", 1) + "/v1/ws"


async def measure(stack: Stack, crowd: Crowd, seconds: float, rate: float = RATE, rest: float = REST) -> Row:
    """Return what the services spend on a message, said at this rate in each room in turn, and at rest."""
    await crowd.say_everywhere()  # so that everybody knows the room
    await crowd.settle()
    await asyncio.sleep(1.0)
    meter = CpuMeter(pids(stack))
    meter.start()
    await asyncio.sleep(rest)
    at_rest = {name: used / rest for name, used in by_kind(meter.stop()).items()}
    clock = asyncio.get_running_loop().time
    meter.start()
    began = clock()
    said = await crowd.steady(rate, seconds)
    used, took = by_kind(meter.stop()), clock() - began
    return {
        **{name: max(0.0, used[name] - at_rest[name] * took) / len(said.acks) * 1e6 for name in used},
        **{f"rest_{name}": used * 100 for name, used in at_rest.items()},
        "ack": said.ack(0.5),
        "everywhere": quantile(said.everywhere, 0.5) * 1_000,
        "elsewhere": meter.others,
    }


def by_kind(used: Mapping[str, float]) -> dict[str, float]:
    """Return the sums over the replicas of a service."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, spent in used.items():
        kind = name.partition("-")[0]
        found[{"gateway": "gateways", "persistence": "writers"}.get(kind, kind)] += spent
    return dict(found)


Dimension = Callable[[Sequence[int], float], AsyncIterator[Row]]
"""Yields a row for each size; measures each for so many seconds."""
