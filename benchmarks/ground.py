"""What the transports are compared on: a stack with a gateway for each, and one more for whoever speaks."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import psutil
from harness.resilient_client import join_room, make_room
from harness.stack import Stack
from harness.tokens import token

from benchmarks.audience import Audience
from benchmarks.cpu import CpuMeter
from benchmarks.presence import precise
from benchmarks.readers import TRANSPORTS, gather
from benchmarks.system import LOAD
from benchmarks.warren import AT_ONCE, pids, running_stack

REST = 5.0
"""Seconds for which the services are measured by themselves, after as many in which they get over their start."""
SETTLE = 3.0
"""Seconds for presence to have been told to everybody."""
OWNER = "owner"
"""Owns all rooms."""


class Ground:
    """A running stack. `rest`: the CPU seconds a second that each process takes anyhow."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._gateways = dict(zip(TRANSPORTS, stack.gateways, strict=False))
        self.spare = stack.gateways[-1].url
        self.rest: Mapping[str, float] = {}
        self.others = 0.0
        """The largest share of the machine, 0 to 1, that went to processes that are not measured."""

    def url(self, transport: str) -> str:
        """Return the base URL of this transport's gateway."""
        return self._gateways[transport].url

    def process(self, transport: str) -> str:
        """Return the name of this transport's gateway among the processes."""
        return self._gateways[transport].name

    def resident(self, transport: str) -> int:
        """Return the bytes of memory that this transport's gateway has."""
        return int(psutil.Process(self._gateways[transport].pid).memory_info().rss)

    @property
    def shared(self) -> list[str]:
        """The processes that are not gateways."""
        return [name for name in pids(self._stack) if not name.startswith("gateway")]

    def meter(self) -> CpuMeter:
        """Return a meter of all processes, the load included."""
        return CpuMeter({**pids(self._stack), LOAD: os.getpid()}, precise)

    async def used(self, seconds: float) -> dict[str, float]:
        """Return the CPU seconds a second that each process takes meanwhile, beyond what it takes anyhow."""
        meter = self.meter()
        meter.start()
        await asyncio.sleep(seconds)
        found = {name: used / seconds - self.rest.get(name, 0.0) for name, used in meter.stop().items()}
        self.others = max(self.others, meter.others)
        return found

    async def fill(self, rooms: Sequence[str], users: Sequence[str]) -> None:
        """Make the rooms, and make each of these people a member of one of them."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(timeout=60) as http:

            async def belong(number: int, user: str) -> None:
                async with slots:
                    await join_room(http, self.spare, rooms[number % len(rooms)], token(user))

            for room in rooms:
                await make_room(http, self.spare, room, token(OWNER))
            await asyncio.gather(*(belong(number, user) for number, user in enumerate(users)))

    @asynccontextmanager
    async def reading(
        self, transport: str, rooms: Sequence[str], users: Sequence[str], audience: Audience
    ) -> AsyncIterator[None]:
        """Have these people read their rooms, as `fill` has spread them."""
        make, url = TRANSPORTS[transport], self.url(transport)
        readers = [make(url, rooms[number % len(rooms)], user, audience) for number, user in enumerate(users)]
        try:
            await gather(audience, readers)
            await asyncio.sleep(SETTLE)
            yield
            audience.check()
        finally:
            audience.over = True
            for reader in readers:
                reader.close()


@asynccontextmanager
async def running_ground() -> AsyncIterator[Ground]:
    """Start everything, and measure what it takes by itself."""
    async with running_stack(len(TRANSPORTS) + 1, 1, 1) as stack:
        ground = Ground(stack)
        await asyncio.sleep(REST)
        ground.rest = await ground.used(REST)
        yield ground
