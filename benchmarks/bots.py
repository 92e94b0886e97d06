"""What bots cost the people in their rooms, how fast one answers, and what those do that misbehave: `./dev bench bots`.

First 5 people in a room, 20 messages a second, with 0, 1 and 10 bots that hear them and one that answers each. Then one
bot that is asked again as soon as it has answered: with the library's pace, and without (Warren bounds every bot,
so for that it is told to take it for a gateway). Then people beside bots that say all that they may, that fail at
every message, that hang, and that flood the broker without the library.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import chain

import httpx
import uvloop
from harness.stack import Stack
from warren_local.errors import LocalError

from benchmarks import questions
from benchmarks.cpu import CpuMeter
from benchmarks.fleet import Fleet
from benchmarks.load import Load
from benchmarks.presence import precise
from benchmarks.system import LOAD
from benchmarks.warren import WarrenDialect, fill_rooms, pids, running_stack

MEMBERS = 5
RATE = 20.0
"""Messages a second in a room: as many as a bot may answer in the long run."""
ROOMS = 32
"""In which a bot is at work at the same time (`warren.bot.runtime.runner.AT_ONCE`)."""
REST = 4.0
"""Seconds for which everything is measured by itself, after as many in which it gets over its start."""
WARM_UP = 1.0
KINDS = ("gateway", "persistence", "rabbitmq", "mongodb", "bot")
CROWD = [f"listens-{number}" for number in range(10)]
GOOD: dict[str, list[str]] = {
    "none": [], "1 listens": CROWD[:1], "10 listen": CROWD, "1 answers": ["answers"], "none again": [],
}  # fmt: skip
BAD: dict[str, list[str]] = {
    "nobody": [], "says all it may": ["talks"], "always raises": ["raises"], "hangs": ["hangs"],
    "floods the broker": ["floods"], "nobody again": [],
}  # fmt: skip
ASKED = (
    ("asked", "answers", "paced", ((ROOMS, 1), (1, 1))),
    ("hurries", "hurries", "unpaced", ((ROOMS, 4), (ROOMS, 1), (1, 8), (1, 1))),
)
"""A bot, its behaviour, and how it is asked: in so many rooms, so many questions open in each. What it may say at once
is gone before the long run is measured, if it is asked in many rooms first."""


def main() -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (5)")
    try:
        uvloop.run(bench(parser.parse_args().seconds))
    except (LocalError, AssertionError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


async def bench(seconds: float) -> None:
    """Measure everything, and print it as it comes."""
    async with running_stack(2, 1, WARREN_GATEWAY_USERS="gateway,bot.hurries") as stack:
        cases = {**GOOD, **BAD}
        names, tokens = await fill_rooms(stack.gateways[0].url, len(cases) + len(ASKED) * ROOMS, MEMBERS)
        rooms = dict(zip(cases, names, strict=False))
        given = {bot: [rooms[case] for case in cases if bot in cases[case]] for bot in chain(*cases.values())}
        asked = {bot: names[len(cases) + index * ROOMS :][:ROOMS] for index, (bot, *_) in enumerate(ASKED)}
        fleet, people = Fleet(stack, {**given, **asked}, tokens[0]), People(stack, tokens, seconds)
        await fleet.give()
        await company(fleet, people, rooms)
        await answering(stack, fleet, asked, tokens[0], seconds)
        await trouble(stack, fleet, people, rooms)
        print(f"\nOf the machine, {people.others:.0%} at most went to other processes while people talked.")


async def company(fleet: Fleet, people: "People", rooms: Mapping[str, str]) -> None:
    """Print what people notice of bots that do what they should."""
    async with fleet.at_work({**dict.fromkeys(CROWD, "listens"), "answers": "answers"}) as found:
        await people.rest(found)
        head("bots in the room")
        for case in GOOD:
            await people.talk(case, rooms[case], found)


async def trouble(stack: Stack, fleet: Fleet, people: "People", rooms: Mapping[str, str]) -> None:
    """Print what people notice of bots that misbehave."""
    head("beside a bot that")
    for case, bots in BAD.items():
        async with fleet.at_work({bot: bot for bot in bots}) as found:
            before, began = await refused(stack), time.perf_counter()
            await people.talk(case, rooms[case], found)
            if more := await refused(stack) - before:
                print(
                    f"    commands refused, or messages dropped: {more / (time.perf_counter() - began):,.0f} a second",
                    flush=True,
                )


def head(first: str) -> None:
    """Print what stands above people's figures."""
    print(f"\n{MEMBERS} people in a room, {RATE:g} messages a second: ms; CPU a message, us, beyond that at rest")
    print(f"  {first:20}{'ack p50':>9}{'p99':>8}{'seen p50':>10}{'p99':>8}" + "".join(f"{kind:>13}" for kind in KINDS))


async def answering(
    stack: Stack, fleet: Fleet, rooms: Mapping[str, Sequence[str]], token: str, seconds: float
) -> None:  # fmt: skip
    """Print how fast one bot answers, in one room and in many."""
    url = stack.gateways[0].url
    print(f"\nOne bot that answers; ms from question to answer, both as stored\n  {'':38}{questions.HEAD}")
    for bot, behaviour, how, ways in ASKED:
        async with fleet.at_work({bot: behaviour}) as found:
            (pid,) = found.values()
            for count, at_once in ways:
                figures = await questions.measure(url, token, rooms[bot][:count], at_once, pid, seconds)
                print(f"  {f'{how}, {count} rooms, {at_once} open in each':38}{figures}", flush=True)


class People:
    """People who talk in one room after the other."""

    def __init__(self, stack: Stack, tokens: Sequence[str], seconds: float) -> None:
        self.others = 0.0
        """The largest share of the machine, 0 to 1, that went to processes that are not measured."""
        self._stack = stack
        self._tokens = tokens
        self._seconds = seconds
        self._rest: dict[str, float] = {}

    async def rest(self, bots: Mapping[str, int]) -> None:
        """Measure what everything takes anyhow."""
        await asyncio.sleep(REST)
        meter = self._meter(bots)
        meter.start()
        await asyncio.sleep(REST)
        self._rest = {name: used / REST for name, used in meter.stop().items()}

    async def talk(self, what: str, room: str, bots: Mapping[str, int]) -> None:
        """Have them talk in a room, and print what it took them, and what of the processor."""
        urls = [gateway.url.replace("http", "ws", 1) + "/v1/ws" for gateway in self._stack.gateways]
        load, meter = Load(WarrenDialect(self._tokens), urls, [room], MEMBERS), self._meter(bots)
        await load.connect()
        await load.steady(RATE, WARM_UP)
        meter.start()
        result = await load.steady(RATE, self._seconds)
        used = {name: spent - self._rest.get(name, 0.0) * self._seconds for name, spent in meter.stop().items()}
        load.close()
        self.others = max(self.others, meter.others)
        cpu = [sum(used[name] for name in used if name.startswith(kind)) / result.messages * 1e6 for kind in KINDS]
        seen = [result.quantile(result.deliveries, share) for share in (0.5, 0.99)]
        times = f"{result.ack(0.5):9.1f}{result.ack(0.99):8.1f}{seen[0]:10.1f}{seen[1]:8.1f}"
        print(f"  {what:20}{times}" + "".join(f"{spent:13.0f}" for spent in cpu), flush=True)

    def _meter(self, bots: Mapping[str, int]) -> CpuMeter:
        return CpuMeter({**pids(self._stack), **bots, LOAD: os.getpid()}, precise)


async def refused(stack: Stack) -> float:
    """Return how many commands of bots were refused; a message that was not even read counts once."""
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{stack.persistence[0].url}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("warren_bot_commands_refused_total{"))


if __name__ == "__main__":
    sys.exit(main())
