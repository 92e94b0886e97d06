"""A gateway dies with thousands of connections: `./dev bench storm`.

5,000 members of 500 rooms, 10 each, lose their gateway, which is killed. They come back at once, with a second of
jitter, to the one that is left, each from where they were. One message is said in each room while they are away, so
each has something to be shown. Nothing may be lost or shown twice. The store may be asked for no more than one load
and one replay a room. Beside them people of the other gateway say 20 messages a second: what do they notice?
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import pymongo
import uvloop
from harness.resilient_client import fresh_room
from harness.stack import Stack
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cpu import CpuMeter
from benchmarks.crowd import Crowd, Person, Said
from benchmarks.dimensions import keeping, people, websocket
from benchmarks.preload import make_rooms
from benchmarks.report import verdict
from benchmarks.warren import pids, running_stack

MEMBERS = 10
OTHERS = 10
"""Rooms of the others, of 10 as well."""
RATE = 20.0
"""Messages a second that they say."""
CALM = 10.0
"""Seconds for which they are measured before the storm."""
LOADS = ("heads", "events")
"""Queries that read a room's head, and what was missed in it."""
SPEAKER = "speaker"
"""Says something in every room, through the gateway that is left."""


@dataclass(frozen=True, slots=True)
class Storm:
    """What it came to. Times are in seconds, from the kill on."""

    live: float
    cpu: Mapping[str, float]
    """CPU seconds by process, beyond what it took in the calm."""
    queries: Mapping[str, float]
    """By type, of all persistence replicas, beyond what there were in the calm."""
    reads: float
    """Commands that MongoDB got meanwhile."""
    failed: int
    """Tries to connect again."""
    refused: int
    """Joins."""
    before: Said
    during: Said


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=500)
    parser.add_argument("--share", type=float, default=1.0, help="how many of the members the killed gateway had")
    options = parser.parse_args()
    uvloop.run(bench(options.rooms, options.share))


async def bench(rooms: int, share: float) -> None:
    """Raise the storm and print what came of it."""
    async with running_stack(2, 2, 1) as stack, keeping(Crowd()) as crowd, keeping(Crowd()) as others:
        speaker = await populate(stack, crowd, others, rooms, share)
        lost = sum(person.url == websocket(stack.gateways[0].url) for person in crowd.people)
        print(f"{lost} of {rooms * MEMBERS} members of {rooms} rooms lose their gateway", flush=True)
        report(await raise_storm(stack, crowd, others, speaker), rooms, lost)


async def populate(stack: Stack, crowd: Crowd, others: Crowd, rooms: int, share: float) -> Person:
    """Have everybody come; return who speaks in all rooms."""
    dying, staying = (websocket(gateway.url) for gateway in stack.gateways)
    names = [fresh_room("storm") for _ in range(rooms)]
    members = {name: people(name, MEMBERS) for name in names}
    apart = {fresh_room("calm"): people(f"o{number}", MEMBERS) for number in range(OTHERS)}
    await make_rooms(stack.mongodb.url, {**{room: [*users, SPEAKER] for room, users in members.items()}, **apart})
    at = round(share * MEMBERS)
    for url, of in ((dying, slice(at)), (staying, slice(at, None))):
        if here := {user: [room] for room, users in members.items() for user in users[of]}:
            await crowd.add(url, here)
    await others.add(staying, {user: [room] for room, users in apart.items() for user in users})
    await others.say_everywhere()
    speaker = Person(crowd, SPEAKER, staying, [])
    await speaker.connect()
    crowd.elsewhere[dying] = staying
    # Whoever spoke before has been looked up, and the rooms are what they are in use.
    await crowd.say_everywhere(dict.fromkeys(crowd.readers, speaker))
    await crowd.settle()
    return speaker


async def raise_storm(stack: Stack, crowd: Crowd, others: Crowd, speaker: Person) -> Storm:
    """Kill the gateway, and wait until everybody is back and has everything."""
    left = {name: pid for name, pid in pids(stack).items() if name != stack.gateways[0].name}
    meter = CpuMeter(left)
    counted, meter_began = await counters(stack), time.perf_counter()
    meter.start()
    before = await others.steady(RATE, CALM)
    took = time.perf_counter() - meter_began
    calm = {name: used / took for name, used in meter.stop().items()}
    usual = {name: number / took for name, number in difference(await counters(stack), counted).items()}
    counted, began = await counters(stack), time.perf_counter()
    meter.start()
    total = crowd.live
    stack.gateways[0].kill()
    talking = asyncio.create_task(talk(others))
    try:
        saying = crowd.say_everywhere(dict.fromkeys(crowd.readers, speaker))
        _, live = await asyncio.gather(saying, until_live_again(crowd, total))
        await crowd.settle()
    finally:
        talking.cancel()
    took = time.perf_counter() - began
    used = {name: spent - calm[name] * took for name, spent in meter.stop().items()}
    found = difference(await counters(stack), counted)
    await others.settle()
    queries = {name: number - usual.get(name, 0) * took for name, number in found.items()}
    return Storm(live - began, used, queries, queries.pop("reads"), crowd.failed, crowd.refused, before, others.said)


async def until_live_again(crowd: Crowd, total: int) -> float:
    """Return when all subscriptions are live again, of which some are about to be lost."""
    await crowd.until(lambda: crowd.live < total)
    await crowd.until_live(total)
    return time.perf_counter()


async def talk(others: Crowd) -> None:
    """Have the others say something until cancelled."""
    await others.steady(RATE, 60.0)


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return by how much counters have risen."""
    return {name: number - before.get(name, 0) for name, number in after.items()}


async def counters(stack: Stack) -> dict[str, float]:
    """Return the queries that persistence has answered by type, and as `reads` what MongoDB was asked."""
    found: dict[str, float] = {}
    async with httpx.AsyncClient() as http:
        for service in stack.persistence:
            text = (await http.get(f"{service.url}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name == "warren_queries_total":
                        kind = sample.labels["type"]
                        found[kind] = found.get(kind, 0) + sample.value
    found["reads"] = await asyncio.to_thread(_reads, stack.mongodb.url)
    return found


def _reads(url: str) -> float:
    with pymongo.MongoClient[dict[str, object]](url) as client:
        commands = client.admin.command("serverStatus")["metrics"]["commands"]
    return float(sum(commands[name]["total"] for name in ("find", "aggregate", "getMore")))


def report(storm: Storm, rooms: int, lost: int) -> None:
    """Print it."""
    print(f"  all live again after          {storm.live:8.2f} s")
    print(f"  tries to connect that failed  {storm.failed:8}")
    print(f"  joins refused for now         {storm.refused:8}")
    for name, seconds in sorted(storm.cpu.items()):
        print(f"  CPU a resume, us: {name:12}{seconds / lost * 1e6:8.0f}")
    for kind, number in sorted(storm.queries.items()):
        if number >= 1:
            print(f"  queries: {kind:21}{number:8.0f}   a room {number / rooms:.2f}")
    print(f"  reads of MongoDB              {storm.reads:8.0f}   a room {storm.reads / rooms:.2f}")
    for what, said in (("before", storm.before), ("during", storm.during)):
        print(f"  the others' acks {what:12} p50 {said.ack(0.5):6.1f} ms  p99 {said.ack(0.99):6.1f} ms")
    verdict(
        "queries that load or replay, a room", sum(storm.queries.get(kind, 0) for kind in LOADS) / rooms, "<=", 1.0, ""
    )


if __name__ == "__main__":
    main()
