"""How soon a removal ends the reading of the one removed: `./dev bench removal`.

A room's owner removes somebody who reads it on two gateways; the time runs from the request to `left` on both. First
with nothing else going on, then while 50 messages are in flight in other rooms. The bar is a second.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import uvloop
from harness.resilient_client import bearer, fresh_room, make_room
from harness.scripted_client import ScriptedClient, connect
from harness.stack import Stack
from harness.tokens import token

from benchmarks.load import Load
from benchmarks.warren import WarrenDialect, fill_rooms, running_stack

ROOMS, MEMBERS, IN_FLIGHT = 20, 10, 50
WARM_UP = 2.0
BAR = 1.0
"""Seconds."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="removals in each measurement")
    uvloop.run(bench(parser.parse_args().times))


async def bench(times: int) -> None:
    """Measure without and with a load."""
    async with running_stack(2, 2) as stack:
        report("alone", await removals(stack, times))
        async with busy(stack, times):
            report(f"with {IN_FLIGHT} in flight", await removals(stack, times))


@asynccontextmanager
async def busy(stack: Stack, times: int) -> AsyncIterator[None]:
    """Keep messages in flight in other rooms."""
    urls = [gateway.url.replace("http", "ws", 1) + "/v1/ws" for gateway in stack.gateways]
    rooms, tokens = await fill_rooms(stack.gateways[0].url, ROOMS, MEMBERS)
    load = Load(WarrenDialect(tokens), urls, rooms, MEMBERS)
    await load.connect()
    running = asyncio.create_task(load.run(IN_FLIGHT, WARM_UP, times))
    await asyncio.sleep(WARM_UP)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        load.close()


async def removals(stack: Stack, times: int) -> list[float]:
    """Return the seconds from asking for a removal to the end of the reading on both gateways."""
    here, there = (gateway.url for gateway in stack.gateways)
    room, owner, member = fresh_room("removal"), bearer(token("ann")), token("bob")
    found = []
    async with (
        httpx.AsyncClient(timeout=30) as http,
        connect(here, member) as one,
        connect(there, member) as other,
    ):
        await make_room(http, here, room, token("ann"), "private")
        place = f"{here}/v1/rooms/{room}/members"
        for _ in range(times):
            (await http.put(f"{place}/bob", headers=owner)).raise_for_status()
            (await http.put(f"{place}/me", headers=bearer(member))).raise_for_status()
            for reader in (one, other):
                await reader.join(room)
            started = time.perf_counter()
            asked = asyncio.create_task(http.delete(f"{place}/bob", headers=owner))
            await asyncio.gather(ended(one), ended(other))
            found.append(time.perf_counter() - started)
            (await asked).raise_for_status()
    return found


async def ended(reader: ScriptedClient) -> None:
    """Wait for the end of the reading."""
    await reader.expect("left")
    reader.passed.clear()


def report(name: str, times: Sequence[float]) -> None:
    """Print one line, and whether the slowest is within the bar."""
    ranked = sorted(times)
    p50, p99 = (ranked[int(len(ranked) * share)] * 1_000 for share in (0.5, 0.99))
    verdict = "reached" if ranked[-1] <= BAR else "MISSED"
    print(
        f"{name:>20}  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  slowest {ranked[-1] * 1_000:6.1f} ms  {verdict}", flush=True
    )


if __name__ == "__main__":
    main()
