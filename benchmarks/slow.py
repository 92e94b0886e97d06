"""What readers who do not read cost the others: `./dev bench slow`.

4 rooms of 5 members, 10 messages in flight; first alone, then with ten more connections in each room that read nothing
at all and are cut with 4008 when their bound is reached; then alone again. The three latencies should not differ.
"""

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import httpx
import uvloop
from websockets.asyncio.client import connect

from benchmarks.load import Load
from benchmarks.warren import WarrenDialect, fill_rooms, running_stack

ROOMS = 4
MEMBERS = 5
IN_FLIGHT = 10
SLOW_PER_ROOM = 10
WARM_UP = 2.0
TEXT = 4_000
"""Characters of a message, as many as there may be, so that the bound of 2 MiB is reached soon."""
RECEIVE_BUFFER = 4_096
"""Bytes that a slow reader's kernel takes; small, so that the server notices soon."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    uvloop.run(bench(parser.parse_args().seconds))


async def bench(seconds: float) -> None:
    """Measure without, with and without slow readers."""
    async with running_stack(2, 2) as stack:
        bases = [gateway.url for gateway in stack.gateways]
        urls = [base.replace("http", "ws", 1) + "/v1/ws" for base in bases]
        rooms, tokens = await fill_rooms(bases[0], ROOMS, MEMBERS)
        load = Load(WarrenDialect(tokens), urls, rooms, MEMBERS, TEXT)
        await load.connect()
        print(f"{ROOMS} rooms x {MEMBERS} members, {IN_FLIGHT} in flight", flush=True)
        print(f"      alone {await load.run(IN_FLIGHT, WARM_UP, seconds)}", flush=True)
        async with slow_readers(urls, rooms, tokens[0]):
            print(f"    with {SLOW_PER_ROOM * ROOMS} {await load.run(IN_FLIGHT, WARM_UP, seconds * 2)}", flush=True)
            print(f"  slow readers cut so far: {await cut(bases):.0f}", flush=True)
        print(f"      alone {await load.run(IN_FLIGHT, WARM_UP, seconds)}", flush=True)
        load.close()


@asynccontextmanager
async def slow_readers(urls: Sequence[str], rooms: Sequence[str], token: str) -> AsyncIterator[None]:
    """Connect members to every room who join it and then read nothing more."""
    async with AsyncExitStack() as exits:
        for index, room in enumerate(room for room in rooms for _ in range(SLOW_PER_ROOM)):
            url = urls[index % len(urls)]
            parts = urlsplit(url)
            wire = socket.socket()
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            wire.setblocking(False)
            await asyncio.get_running_loop().sock_connect(wire, (parts.hostname, parts.port))
            reader = await connect(url, sock=wire, compression=None, ping_interval=None, close_timeout=0)
            exits.callback(reader.transport.abort)
            await reader.send(json.dumps({"type": "hello", "token": token}))
            await reader.send(json.dumps({"type": "join", "room": room}))
            while json.loads(await reader.recv())["type"] != "joined":
                pass
            reader.transport.pause_reading()
        yield


async def cut(gateways: Sequence[str]) -> float:
    """Return how many slow readers the gateways have cut."""
    total = 0.0
    async with httpx.AsyncClient() as http:
        for gateway in gateways:
            lines = (await http.get(f"{gateway}/metrics")).text.splitlines()
            total += sum(float(line.split()[1]) for line in lines if line.startswith("warren_slow_consumers_total "))
    return total


if __name__ == "__main__":
    main()
