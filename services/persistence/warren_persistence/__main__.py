"""`python -m warren_persistence`: a replica of the service; with `rebuild`, an operator's command beside it."""

import argparse
import asyncio
import logging
import sys

from warren.ops.logs import configure_logs
from warren.ops.mongo import StoreUnavailable
from warren.ops.serve import health_app, serve
from warren.ops.settings import read_settings

from warren_persistence.app import Persistence
from warren_persistence.config import Settings
from warren_persistence.projections.projector import NAMES
from warren_persistence.projections.rebuild import rebuild_all
from warren_persistence.store import connect

log = logging.getLogger(__name__)


def main() -> None:
    """Run one replica until SIGTERM, or make projections anew while others serve."""
    parser = argparse.ArgumentParser(prog="python -m warren_persistence", description=main.__doc__)
    commands = parser.add_subparsers(dest="command")
    rebuild = commands.add_parser("rebuild", help="make projections anew from the logs, while the service serves")
    rebuild.add_argument("projections", nargs="+", choices=NAMES, metavar="PROJECTION", help=f"{', '.join(NAMES)}")
    asked = parser.parse_args()
    settings = read_settings("persistence", Settings)
    if asked.command is None:
        serve("persistence", settings, health_app(lambda: Persistence(settings).run()))
        return
    configure_logs("persistence", settings.replica, settings.log_level)
    try:
        asyncio.run(_rebuild(settings, asked.projections))
    except StoreUnavailable as error:
        sys.exit(f"persistence: MongoDB is not available, so nothing is done or not all: {error}")


async def _rebuild(settings: Settings, projections: list[str]) -> None:
    store = connect(settings.mongo_url)
    try:
        for name in projections:
            await store.projector.reset(name)
            if not await rebuild_all(store.projector, name):
                sys.exit(f"persistence: {name} is not made anew in all rooms; the log says which, and what failed")
    finally:
        store.close()


if __name__ == "__main__":
    main()
