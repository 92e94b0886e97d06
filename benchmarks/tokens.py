"""What bad tokens cost, and whether good clients notice a flood of them: `./dev bench tokens`.

First each kind of bad token against a gateway that checks every one of them, as it never would with its limits: the
processor time of the gateway a token. Then, with the limits as they are by default, the acks of good clients alone,
with a flood against another gateway on the same machine (what the flood takes from everybody), and with a flood against
their own gateway; once by an attacker who waits for answers and once by one who sends 10,000 a second whatever comes.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop
from harness.jwks import KeyServer
from harness.stack import ROOMY, Stack
from harness.tokens import ISSUER, SigningKey, token
from warren_local.service import Service

from benchmarks.cpu import cpu_seconds
from benchmarks.load import Load
from benchmarks.warren import WarrenDialect, fill_rooms, running_stack

ROOMS, MEMBERS, IN_FLIGHT = 4, 5, 4
WARM_UP = 2.0
DEFAULTS = dict.fromkeys((name for name in ROOMY if "ADDRESS" in name), "")
"""Limits on addresses as they are when nothing is set; the load is one person in a hurry."""
HUGE = 2**20
RATE = 10_000.0
Flooded = dict[str, int]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    uvloop.run(bench(parser.parse_args().seconds))


async def bench(seconds: float) -> None:
    """Measure what refusing costs, then what good clients notice."""
    keys = [SigningKey("rs", "RS256"), SigningKey("es", "ES256"), SigningKey("ed", "EdDSA")]
    with KeyServer().running() as server:
        server.publish(*keys)
        async with running_stack(2, 1) as stack:
            await costs(stack, server, keys, seconds)
        async with running_stack(2, 1, **DEFAULTS) as stack:
            await notice(stack, seconds)


def wrong(key: SigningKey) -> str:
    """Return a token under this key's name that another key has signed."""
    return SigningKey(key.kid, key.algorithm).token("mallory")


async def costs(stack: Stack, server: KeyServer, keys: Sequence[SigningKey], seconds: float) -> None:
    """Print the gateway's processor time for each bad token, by kind."""
    guests = stack.gateways[0]
    print(f"Refused over HTTP, every token checked, {seconds:g} s each:")
    print(f"  {'':24}{'tokens/s':>10}{'gateway CPU a token':>22}")
    await cost("HS256, wrong secret", guests, token("mallory", secret="x" * 40), seconds)
    async with keyed_gateway(stack, server) as issued:
        for key in keys:
            await cost(f"{key.algorithm}, wrong key", issued, wrong(key), seconds)
        await cost("unknown key id", issued, SigningKey("else").token("mallory"), seconds)
        print(f"  the keys were fetched {server.fetches} times in all")
    await cost("garbage", guests, "garbage", seconds)
    await cost("1 MiB", guests, "x" * HUGE, seconds, pipeline=1)
    await cost("good, for comparison", guests, token("ann"), seconds)


@asynccontextmanager
async def keyed_gateway(stack: Stack, server: KeyServer) -> AsyncIterator[Service]:
    """One more gateway, which takes an issuer's tokens."""
    env = {"WARREN_AUTH": "jwt", "WARREN_SECRET": "", "WARREN_JWKS": server.url, "WARREN_ISSUER": ISSUER}
    service = stack.extra("gateway", 3, **env)
    await asyncio.to_thread(service.start)
    try:
        await asyncio.to_thread(service.wait_ready, 60)
        yield service
    finally:
        await asyncio.to_thread(service.stop)


async def cost(name: str, gateway: Service, bad: str, seconds: float, pipeline: int = 32) -> None:
    """Flood a gateway with one token and print what each cost it."""
    before = cpu_seconds(gateway.pid or 0)
    answers = await flooding(gateway, bad, seconds, pipeline)
    used, count = cpu_seconds(gateway.pid or 0) - before, sum(answers.values())
    print(f"  {name:24}{count / seconds:10.0f}{used / count * 1e6:19.0f} us   {answers}", flush=True)


async def flooding(gateway: Service, bad: str, seconds: float, pipeline: int = 32, *, rate: float = 0.0) -> Flooded:
    """Flood from another process, so that the flood's own work is not the load's."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.flood", str(gateway.port), str(seconds), "--pipeline", str(pipeline),
        "--rate", str(rate),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(f"{bad}\n".encode())
    found: Flooded = json.loads(out)
    return found


async def notice(stack: Stack, seconds: float) -> None:
    """Print the acks of good clients, who are all at the first gateway, without and with floods."""
    here, elsewhere = stack.gateways
    rooms, tokens = await fill_rooms(here.url, ROOMS, MEMBERS)
    load = Load(WarrenDialect(tokens), [here.url.replace("http", "ws", 1) + "/v1/ws"], rooms, MEMBERS)
    await load.connect()
    bad = token("mallory", secret="x" * 40)
    print(f"\nAcks with the default limits on addresses, {ROOMS} rooms x {MEMBERS} members, {IN_FLIGHT} in flight:")
    runs = (
        ("alone", None, 0.0),
        ("patient, elsewhere", elsewhere, 0.0),
        ("patient, here", here, 0.0),
        ("10,000/s, elsewhere", elsewhere, RATE),
        ("10,000/s, here", here, RATE),
        ("alone", None, 0.0),
    )
    for name, target, rate in runs:
        await noticed(name, load, target, bad, seconds, rate)
    load.close()


async def noticed(name: str, load: Load, target: Service | None, bad: str, seconds: float, rate: float) -> None:
    """Print what good clients notice of one flood, and what it takes of the gateway that it is meant for."""
    before = cpu_seconds(target.pid or 0) if target else 0.0
    whole = WARM_UP + seconds
    running = flooding(target, bad, whole, rate=rate) if target else asyncio.sleep(0, {})
    result, answers = await asyncio.gather(load.run(IN_FLIGHT, WARM_UP, seconds), running)
    used = cpu_seconds(target.pid or 0) - before if target else 0.0
    flood = f"flood {sum(answers.values()) / whole:.0f}/s {answers}, gateway CPU {used / whole:.0%}" if target else ""
    print(f"  {name:22}ack p50 {result.ack(0.5):6.1f} ms  p99 {result.ack(0.99):6.1f} ms   {flood}", flush=True)


if __name__ == "__main__":
    main()
