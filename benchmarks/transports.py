"""WebSocket, Server-Sent Events and polling side by side: `./dev bench transports`.

What idle members cost, what a delivered message costs, and the time from `send` to display, in Chromium and without a
browser. Each transport has a gateway of its own; what is said to be counted is said through one more.
"""

import argparse
import sys

import uvloop
from e2e.browser import MISSING, chromium

from benchmarks import display, fanout, idle
from benchmarks.ground import running_ground


def main() -> int:
    """Run and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=500, help="idle clients of each transport (500)")
    parser.add_argument("--apart", action="store_true", help="measure idle clients one transport after the other")
    parser.add_argument("--readers", type=int, default=200, help="readers of the room in which messages count (200)")
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second in that room (20)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each of these measurements, about (5)")
    parser.add_argument("--messages", type=int, default=100, help="messages timed to their display, of each kind (100)")
    options = parser.parse_args()
    browser = chromium()
    if browser is None:
        print(f"bench: {MISSING}", file=sys.stderr)
        return 1
    try:
        uvloop.run(bench(options, browser))
    except AssertionError as error:  # what went wrong under load
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


async def bench(options: argparse.Namespace, browser: str) -> None:
    """Measure everything, and print it as it comes."""
    async with running_ground() as ground:
        # First, since the gateways have held nobody so far: so their memory tells what clients need.
        (await idle.measure(ground, options.idle, options.seconds, apart=options.apart)).show()
        (await fanout.measure(ground, options.readers, options.rate, options.seconds)).show()
        (await display.measure(ground, browser, options.messages)).show()
        print(f"\nOf the machine, {ground.others:.0%} at most went to other processes in the first two.")


if __name__ == "__main__":
    sys.exit(main())
