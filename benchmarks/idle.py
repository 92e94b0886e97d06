"""What clients cost that only stay: a part of `./dev bench transports`."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from harness.resilient_client import fresh_room

from benchmarks.audience import Audience
from benchmarks.ground import Ground
from benchmarks.readers import TRANSPORTS
from benchmarks.table import Table

ROOMS = 20
"""In which they are members."""
PERIOD = {"websocket": 5.0, "sse": 15.0, "polling": 25.0}
"""Seconds: they are measured over whole periods, in which each hears one comment or polls once. They all do that at
nearly the same moment, since they came together; pings on WebSockets are spread over time."""


async def measure(ground: Ground, number: int, seconds: float, *, apart: bool) -> Table:
    """Measure so many clients of each transport, all transports at the same time or one after the other."""
    table = Table(f"{number} idle members of {ROOMS} rooms")
    rooms, users = [fresh_room("idle") for _ in range(ROOMS)], [f"idle{index}" for index in range(number)]
    await ground.fill(rooms, users)
    for group in [[name] for name in TRANSPORTS] if apart else [list(TRANSPORTS)]:
        async with AsyncExitStack() as exits:
            for name in group:
                before, audience = ground.resident(name), Audience()
                await exits.enter_async_context(ground.reading(name, rooms, users, audience))
                table.put(
                    "gateway: memory a client, KiB", name, f"{(ground.resident(name) - before) / number / 1024:.0f}"
                )
            await _measure_cpu(ground, group, number, seconds, table)
    return table


async def _measure_cpu(ground: Ground, group: Sequence[str], number: int, seconds: float, table: Table) -> None:
    lengths = {name: PERIOD[name] * max(1, round(seconds / PERIOD[name])) for name in group}
    used = dict(zip(group, await asyncio.gather(*map(ground.used, lengths.values())), strict=True))
    for name in group:
        cpu = used[name][ground.process(name)] / number * 1e6
        table.put("gateway: CPU a client and second, us", name, f"{cpu:.1f}")
    longest = max(group, key=lengths.__getitem__)
    for process in ground.shared:
        cpu = used[longest][process] / number / len(group) * 1e6
        # Who caused how much of it can be told only where one transport is measured at a time.
        row, column = (process, longest) if len(group) == 1 else (f"{process}, for all three alike", "polling")
        table.put(row, column, f"{cpu:.1f}")
