"""Whether the time of a refusal tells a room that is none of one's business from one that does not exist.

`./dev bench secrecy`: a stranger asks, as often and in random order, for a private room that is in use, and for one
that nobody has ever made, of the same shard (whose queue the members' own messages keep busy; anybody can work out the
shard of a name). For each way of asking: both medians, and how often a random one of the first is slower than a random
one of the second. 0.50 is a coin; what is left of noise with so many pairs is about 0.03.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import httpx
import uvloop
from harness.resilient_client import bearer, fresh_room, make_room
from harness.tokens import token
from warren.contract.topology import shard

from benchmarks.warren import running_stack

WAYS: Sequence[tuple[str, str, Any]] = (
    ("GET", "/messages", None),
    ("GET", "/members", None),
    ("GET", "", None),
    ("POST", "/messages", {"text": "hi"}),
    ("PUT", "/members/me", None),
    ("DELETE", "/members/me", None),
    ("PATCH", "", {"title": "T"}),
    ("PUT", "/bans/somebody", None),
)
TALK_EVERY = 0.02
"""Seconds between messages in the private room: it is in use, so whatever is remembered of rooms is of this one too."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=500, help="times that each is asked, of each kind")
    uvloop.run(bench(parser.parse_args().pairs))


async def bench(pairs: int) -> None:
    """Measure every way of asking."""
    owner, stranger, room = token("ann"), bearer(token("eve")), fresh_room("private")
    async with running_stack(1, 1) as stack, httpx.AsyncClient(base_url=stack.gateways[0].url) as http:
        await make_room(http, stack.gateways[0].url, room, owner, "private")
        talking = asyncio.create_task(talk(http, room, owner))
        nobodys = next(name for name in (fresh_room("private") for _ in count()) if shard(name) == shard(room))
        print(f"{'':32}{'private':>12}{'unknown':>12}{'slower':>9}", flush=True)
        for method, path, body in WAYS:
            hidden, unknown = await compare(http, (room, nobodys), (method, path, body), stranger, pairs)
            medians = [f"{statistics.median(times) * 1_000:.2f} ms" for times in (hidden, unknown)]
            print(
                f"{method + ' ' + path:32}{medians[0]:>12}{medians[1]:>12}{slower(hidden, unknown):>9.2f}", flush=True
            )
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def talk(http: httpx.AsyncClient, room: str, owner: str) -> None:
    """Keep the private room in use."""
    while True:
        answer = await http.post(f"/v1/rooms/{room}/messages", json={"text": "busy"}, headers=bearer(owner))
        answer.raise_for_status()
        await asyncio.sleep(TALK_EVERY)


async def compare(
    http: httpx.AsyncClient, rooms: tuple[str, str], way: tuple[str, str, Any], stranger: dict[str, str], pairs: int
) -> list[list[float]]:
    """Return the seconds of refusals for each of the two rooms."""
    found: list[list[float]] = [[], []]
    order = [0, 1] * pairs
    random.shuffle(order)
    method, path, body = way
    for which in order:
        started = time.perf_counter()
        answer = await http.request(method, f"/v1/rooms/{rooms[which]}{path}", json=body, headers=stranger)
        found[which].append(time.perf_counter() - started)
        if answer.status_code != httpx.codes.NOT_FOUND:
            raise AssertionError(f"{method} {path}: {answer.status_code}")
    return found


def slower(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how often a random one of the first is greater than one of the second (Mann-Whitney's U, as a share)."""
    ranked = sorted([(value, True) for value in one] + [(value, False) for value in other])
    below = won = 0
    for _, first in ranked:
        if first:
            won += below
        else:
            below += 1
    return won / (len(one) * len(other))


if __name__ == "__main__":
    main()
