"""How long nobody is served while something is broken: people who talk at a fixed rate, and one who reads history.

Nobody waits for the answer to one message before saying the next, or what is measured would be how long that took.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
from warren.contract.topology import SHARDS, shard

from harness.background import background_tasks
from harness.client_pool import SAID_WITHIN, ClientPool, make_clients
from harness.http_transport import http_client
from harness.resilient_client import ResilientClient, bearer, fresh_room

PER_ROOM = 2
MESSAGES_PER_SECOND = 21.0
READS_PER_SECOND = 4.0
READ_WITHIN = 10.0
"""Seconds for a page: above the gateway's own limit."""
IN_FLIGHT = 80
"""Messages of one person, and pages, that wait at once: below what a gateway lets wait, above what an outage makes."""
AGAIN_WITHIN = 90.0
"""Seconds after a fault for everybody to be served; a bound, not an expectation."""


@dataclass(slots=True)
class ResponseTimes:
    """When something was answered, on the clock of time.monotonic."""

    at: list[float] = field(default_factory=list)

    def gap(self, since: float, until: float) -> float:
        """Return the longest time without an answer between two moments, in seconds."""
        marks = [since, *(at for at in self.at if since < at < until), until]
        return max(later - earlier for earlier, later in itertools.pairwise(marks))


@dataclass(slots=True)
class Outage:
    """What a fault cost, in seconds; setbacks are what people noticed, and `acked` how many messages were acked."""

    acks: float
    """The longest time in which nobody got an ack."""
    room: float
    """The longest time in which a room got none."""
    reads: float
    """The longest time in which no page came."""
    acked: int
    setbacks: dict[str, int]


class OutageProbe:
    """Talks and reads, and writes down when it was answered."""

    def __init__(self, members: Sequence[ResilientClient], gateways: Sequence[str], group: asyncio.TaskGroup) -> None:
        self.pool = ClientPool(members, gateways)
        self._gateways = gateways
        self._group = group
        self._rooms: dict[str, list[ResilientClient]] = {}
        for member in members:
            for room in member.logs:
                self._rooms.setdefault(room, []).append(member)
        self._acks = {room: ResponseTimes() for room in self._rooms}
        self._reads = ResponseTimes()
        self.lasted = 0.0
        """Seconds for which something was broken."""
        self._moved = asyncio.Event()
        self._talking = True
        self._spoken: set[asyncio.Task[None]] = set()

    async def talk(self, room: str, delay: float) -> None:
        """Have the people of a room speak in turns, until told to stop."""
        await asyncio.sleep(delay)
        places = {member: asyncio.Semaphore(IN_FLIGHT) for member in self._rooms[room]}
        for number, member in enumerate(itertools.cycle(self._rooms[room])):
            if not self._talking:
                return
            await places[member].acquire()
            said = self._group.create_task(self._say(member, room, f"{member.user} says {number}", places[member]))
            self._spoken.add(said)
            said.add_done_callback(self._spoken.discard)
            await asyncio.sleep(len(self._rooms) / MESSAGES_PER_SECOND)

    async def read(self, http: httpx.AsyncClient) -> None:
        """Ask for pages of history, at each gateway in turn, until cancelled."""
        places = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            for gateway, (room, members) in zip(
                itertools.cycle(self._gateways), itertools.cycle(self._rooms.items()), strict=False
            ):
                await places.acquire()
                group.create_task(self._page(http, gateway, room, members[0], places))
                await asyncio.sleep(1 / READS_PER_SECOND)

    async def served(self) -> None:
        """Wait until every room has got an ack for something that is said from now on, and two pages have come."""
        now = time.monotonic()
        async with asyncio.timeout(AGAIN_WITHIN):
            while not (self._all_acked(now) and sum(at > now for at in self._reads.at) > 1):
                self._moved.clear()
                await self._moved.wait()

    async def finish(self) -> None:
        """Let everybody be acked what they have said, and say no more."""
        self._talking = False
        async with asyncio.timeout(SAID_WITHIN):
            while self._spoken:
                await asyncio.wait(self._spoken)

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Take the time of what is done meanwhile."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.lasted = time.monotonic() - began

    def outage(self, since: float) -> Outage:
        """Return what has happened since then."""
        now = time.monotonic()
        acked = ResponseTimes(sorted(at for served in self._acks.values() for at in served.at))
        return Outage(
            acks=acked.gap(since, now),
            room=max(served.gap(since, now) for served in self._acks.values()),
            reads=self._reads.gap(since, now),
            acked=len(acked.at),
            setbacks=dict(self.pool.setbacks()),
        )

    def _all_acked(self, since: float) -> bool:
        began = {room for member in self.pool.members for room, key in member.acks if member.began[room, key] > since}
        return began >= self._rooms.keys()

    async def _say(self, member: ResilientClient, room: str, text: str, places: asyncio.Semaphore) -> None:
        try:
            await member.send(room, text)
            self._acks[room].at.append(time.monotonic())
            self._moved.set()
        finally:
            places.release()

    async def _page(
        self, http: httpx.AsyncClient, gateway: str, room: str, member: ResilientClient, places: asyncio.Semaphore
    ) -> None:
        try:
            page = await http.get(
                f"{gateway}/v1/rooms/{room}/messages?limit=20", headers=bearer(member.token), timeout=READ_WITHIN
            )
            if page.is_success:
                self._reads.at.append(time.monotonic())
                self._moved.set()
        except httpx.HTTPError:
            pass  # it shows as time in which no page came
        finally:
            places.release()


@asynccontextmanager
async def probing(gateways: Sequence[str]) -> AsyncIterator[OutageProbe]:
    """Have people talk, in a room of each shard, and read, until the block is left."""
    rooms = [_room_of(number) for number in range(SHARDS)]
    members = await make_clients(gateways, rooms, per_room=PER_ROOM)
    async with http_client() as http, asyncio.TaskGroup() as group:
        watch = OutageProbe(members, gateways, group)
        talks = (watch.talk(room, number / MESSAGES_PER_SECOND) for number, room in enumerate(rooms))
        async with background_tasks(*(member.run() for member in members), watch.read(http), *talks):
            yield watch


def _room_of(number: int) -> str:
    return next(room for room in iter(fresh_room, "") if shard(room) == number)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a fault, what it cost, how long it may and how long it once did (acks and reads)."""

    fault: str
    lasted: float
    cost: Outage
    bars: tuple[float, float]
    once: tuple[str, str]


ROWS: list[Row] = []
"""What was measured by this process."""


def table() -> Iterator[str]:
    """Yield the lines of a table of what was measured; `!` is above the bar."""
    if ROWS:
        yield "seconds in which nobody had an ack (bar; once) · the worst room had none · no page came (bar; once)"
    for row in ROWS:
        acks, reads = (
            f"{'!' if cost > bar else ' '}{cost:5.1f} (≤ {bar:.0f}; {once})"
            for cost, bar, once in zip((row.cost.acks, row.cost.reads), row.bars, row.once, strict=True)
        )
        yield f"{row.fault:<46} {row.lasted:4.0f} s  {acks:<30} {row.cost.room:5.1f}  {reads:<30} {row.cost.acked}"
