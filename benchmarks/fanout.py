"""What a delivered message costs: a part of `./dev bench transports`."""

import asyncio
from collections.abc import Sequence

from harness.resilient_client import fresh_room

from benchmarks.audience import Audience
from benchmarks.ground import OWNER, Ground
from benchmarks.lanes import LENGTH, clock
from benchmarks.readers import TRANSPORTS
from benchmarks.speakers import WebSocketSpeaker
from benchmarks.table import Table, quantiles

DELIVERED_WITHIN = 60.0
"""Seconds from the last message until everybody must have been shown all of them."""


async def measure(ground: Ground, readers: int, rate: float, seconds: float) -> Table:
    """Have so many people read a room over each transport, in which so much is said a second."""
    table = Table(f"{readers} readers of one room, {rate:g} messages a second")
    users = [f"reader{index}" for index in range(readers)]
    for transport in TRANSPORTS:
        room = fresh_room("read")
        await ground.fill([room], users)
        await _deliver(ground, transport, room, users, rate, max(1, int(seconds * rate)), table)
    return table


async def _deliver(
    ground: Ground, transport: str, room: str, users: Sequence[str], rate: float, count: int, table: Table
) -> None:
    sent: dict[str, float] = {}
    took: list[float] = []
    audience = Audience(shown=lambda text: took.append(clock() - sent[text]))
    # At another gateway, so that this one's work is that for its readers alone.
    speaker = WebSocketSpeaker(ground.spare, room, OWNER)
    await speaker.connect()
    async with ground.reading(transport, [room], users, audience):
        audience.requests, process, meter, began = 0, ground.process(transport), ground.meter(), clock()
        meter.start()
        for index in range(count):
            await asyncio.sleep(max(0.0, began + index * 1_000 / rate - clock()) / 1_000)
            text = f"{index} ".ljust(LENGTH, "x")
            sent[text] = clock()
            await speaker.say(text)
        await audience.until(lambda: len(took) == count * len(users), DELIVERED_WITHIN)
        seconds = (clock() - began) / 1_000
        used = meter.stop()[process] - ground.rest[process] * seconds
        ground.others = max(ground.others, meter.others)
    speaker.close()
    table.put("gateway: CPU a delivery, us", transport, f"{used / len(took) * 1e6:.1f}")
    table.put("gateway: of a core, %", transport, f"{used / seconds * 100:.0f}")
    table.put("delivered after, ms: p50 / p99", transport, quantiles(took))
    if audience.requests:
        table.put("requests a delivery", transport, f"{audience.requests / len(took):.2f}")
