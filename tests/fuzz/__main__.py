"""`./dev fuzz`: hostile clients, services and servers against all of Warren, for as long as you like."""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fuzz.client import Client, clients, own_browser
from fuzz.environment import start_environment
from fuzz.run import Run
from fuzz.target import Case
from harness.stack import Stack
from warren_local.home import warren_home
from warren_local.pidfile import clear_all

WAYS = ("frames", "http", "broker", "client")
BASE_PORT = 22_000
"""The first of 500 ports, unless WARREN_TEST_PORT names another."""
TOLD_EVERY = 60.0
"""Seconds between two lines of a run that finds nothing."""


def main() -> int:
    """Run, and return how it ended: 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="(2)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="(another one each time)")
    parser.add_argument("--only", action="append", choices=WAYS, default=[], help="these ways in alone")
    parser.add_argument("--case", type=int, help="this case alone, of the one way and the seed that are named")
    parser.add_argument("--port-base", type=int, default=BASE_PORT, help=f"the first of 500 ports ({BASE_PORT})")
    given = parser.parse_args()
    return asyncio.run(_fuzz(given.minutes, given.seed, given.only or WAYS, given.case, given.port_base))


async def _fuzz(minutes: float, seed: int, names: Sequence[str], case: int | None, base: int) -> int:
    print(f"seed {seed}", flush=True)
    for noisy in ("warren", "aiormq", "aio_pika"):  # the bot in here, and connections that are cut for what they say
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    stack = Stack(_empty(warren_home() / "fuzz"), base, presence=2)
    with stack.running():
        async with _client(names) as client, start_environment(stack, names, client) as set_scene:
            run = Run(set_scene, seed)
            if case is not None:
                await run.one(Case(names[0], seed, case))
            else:
                await _go_on(run, time.monotonic() + 60 * minutes)
        violations = await set_scene.violations()
    print(*violations, f"tried {dict(run.tried)}: {len(run.faults)} faults", sep="\n")
    return 1 if run.faults or violations else 0


@asynccontextmanager
async def _client(names: Sequence[str]) -> AsyncIterator[Client | None]:
    """Start a browser, if it is among the ways in."""
    if "client" not in names:
        yield None
        return
    async with own_browser() as browser, clients(browser) as found:
        yield found


def _empty(home: Path) -> Path:
    """Return the folder without what an earlier run has left."""
    clear_all(home)
    shutil.rmtree(home, ignore_errors=True)
    return home


async def _go_on(run: Run, end: float) -> None:
    """Try until then, and say now and then how far it is."""
    while (now := time.monotonic()) < end and not run.over:
        await run.go_on(min(end, now + TOLD_EVERY))
        print(f"tried {dict(run.tried)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
