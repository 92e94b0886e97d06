"""What a long history costs: a part of `./dev bench growth`.

The log grows by one room each time, which makes up most of it. In that room messages are said, pages of history are
read, and people join, one after the other.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from harness.resilient_client import fresh_room
from harness.stack import Stack, begin
from harness.tokens import token

from benchmarks.cpu import CpuMeter
from benchmarks.crowd import Crowd, quantile
from benchmarks.dimensions import Row, by_kind, gather, keeping, measure, people, websocket
from benchmarks.preload import extend_log, make_rooms
from benchmarks.warren import pids, running_stack

MEMBERS = 10
PAGES = 200
"""Pages read of each kind, and joins; before them, a tenth unmeasured."""
INDEXED_WITHIN = 300.0
"""Seconds for a service to start."""


async def history(sizes: Sequence[int], seconds: float) -> AsyncIterator[Row]:
    """A log of so many events, most of them in the room that is measured; 10 members."""
    async with running_stack(2, 1, 1) as stack:
        before = 0
        for size in sizes:
            room, users = fresh_room("growth"), people("h", MEMBERS)
            await make_rooms(stack.mongodb.url, {room: users})
            length, before = size - before, size
            await _extend(stack, room, users[0], length)
            async with keeping(Crowd()) as crowd:
                await gather(stack, crowd, {room: users})
                row = await measure(stack, crowd, seconds)
            yield {"x": size, **row, **await _reads(stack, room, length, users)}


async def _extend(stack: Stack, room: str, sender: str, length: int) -> None:
    for service in stack.services:
        await asyncio.to_thread(service.stop)
    began = time.monotonic()
    await extend_log(stack.mongodb.url, room, sender, MEMBERS, length)
    print(f"  {length - MEMBERS} messages written in {time.monotonic() - began:.0f} s", flush=True)
    await begin(*stack.services, within=INDEXED_WITHIN)


async def _reads(stack: Stack, room: str, length: int, users: Sequence[str]) -> Row:
    """Return the median of what each takes at one gateway, in ms, and the CPU of all processes, in µs."""
    url, row = stack.gateways[0].url, Row()
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def page(query: str) -> None:
        head = f"GET /v1/rooms/{room}/messages?limit=50{query} HTTP/1.1\r\nHost: warren\r\n"
        writer.write(f"{head}Authorization: Bearer {token(users[1])}\r\n\r\n".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise AssertionError(answer)
        await reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r")[0]))

    async def join() -> None:
        crowd = Crowd()
        await crowd.add(websocket(url), {random.choice(users): [room]})
        crowd.close()

    row |= await _timed(stack, "newest", lambda: page(""))
    # Somewhere in the middle half, each time elsewhere: where nobody has read yet.
    row |= await _timed(stack, "middle", lambda: page(f"&before={random.randrange(length // 4, length * 3 // 4)}"))
    row |= await _timed(stack, "join", join)
    writer.close()
    return row


async def _timed(stack: Stack, what: str, act: Callable[[], Awaitable[None]]) -> Row:
    for _ in range(PAGES // 10):
        await act()
    meter, took = CpuMeter(pids(stack)), []
    meter.start()
    for _ in range(PAGES):
        began = time.perf_counter()
        await act()
        took.append(time.perf_counter() - began)
    used = by_kind(meter.stop())
    return {what: quantile(took, 0.5) * 1_000, f"{what}_cpu": sum(used.values()) / PAGES * 1e6}
