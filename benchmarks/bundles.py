"""Who gets of a bundle what they do not need, and what that costs: `./dev bench bundles`, by simulation.

Rooms' readers are spread over the gateways at random. A run goes to the gateways that one of its readers is connected
to; a bundle to those that any of its runs goes to, or to all. Costs are CPU of all processes together, in µs, as they
were measured on two cores with RabbitMQ 3.10 and aio-pika at both ends.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from warren.contract.bundles import BUNDLE_BYTES, BUNDLED_RUN_BYTES

PUBLISH = 310.0
"""One confirmed message, by the publisher and RabbitMQ."""
KEY = 17.0
"""One more routing key, by both."""
DELIVER = 130.0
"""One message to one gateway: RabbitMQ 25, aio-pika 105."""
BYTE = 0.0015
"""One byte of that."""
PASS_OVER, TAKE = 0.25, 6.0
"""A run that a gateway does not follow, and one that it does."""
TRIALS = 300
GATEWAYS, READERS = (2, 10, 50), (2, 10)
RUNS = (1, 2, 8, 32, 100)
SIZES = (450, BUNDLED_RUN_BYTES, 4 * BUNDLED_RUN_BYTES)
"""Bytes of a run; the last does not go into a bundle."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run comes to. `needless`: the share of the bytes delivered that were of no use."""

    cpu: float
    deliveries: float
    needless: float


def simulate(gateways: int, readers: int, runs: int, size: int, *, everywhere: bool, rng: random.Random) -> Cost:
    """Return what a run costs in a bundle of so many. `everywhere`: it has one key, which all gateways are bound to."""
    cpu, delivered, needed = 0.0, 0, 0
    for _ in range(TRIALS):
        followed = [{rng.randrange(gateways) for _ in range(readers)} for _ in range(runs)]
        reached = gateways if everywhere else len(set().union(*followed))
        wanted = sum(map(len, followed))
        keys = 0 if everywhere else runs - 1
        cpu += PUBLISH + keys * KEY + reached * (DELIVER + runs * (PASS_OVER + size * BYTE)) + wanted * TAKE
        delivered += reached
        needed += wanted
    return Cost(cpu / TRIALS / runs, delivered / TRIALS / runs, 1 - needed / (delivered * runs))


def cells(gateways: int, readers: int, size: int) -> Iterator[str]:
    """Yield what a run costs by the number in a bundle: with the keys of its buckets, and with one for all gateways."""
    for runs in RUNS:
        if runs > 1 and runs * size > BUNDLE_BYTES:
            yield "-"
            continue
        exact, common = (
            simulate(gateways, readers, runs, size, everywhere=everywhere, rng=random.Random(runs))
            for everywhere in (False, True)
        )
        yield f"{exact.cpu:.0f}" if runs == 1 else f"{exact.cpu:.0f} / {common.cpu:.0f} ({exact.needless:.0%})"


def main() -> int:
    """Print the table; the exit code."""
    print("CPU a run, µs, by runs in a message: keys of buckets / one key (bytes that a gateway has no use for)")
    print(f"{'readers, gateways, bytes a run':32}" + "".join(f"{runs:>20}" for runs in RUNS))
    for readers in READERS:
        for gateways in GATEWAYS:
            for size in SIZES:
                row = "".join(f"{cell:>20}" for cell in cells(gateways, readers, size))
                print(f"{readers:7}{gateways:10}{size:10}     {row}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
