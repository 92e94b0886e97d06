"""What a container of Warren starts: the service that its image was built for, or with `--health` a question to it.

Not a shell script, so that the service itself is the process that the engine's signals reach.
"""

import os
import runpy
import sys
from urllib.error import URLError
from urllib.request import urlopen

SERVICES = {
    "gateway": ("warren_gateway", "/readyz"),
    "persistence": ("warren_persistence", "/readyz"),
    "presence": ("warren_presence", "/readyz"),
    "ui": ("warren_ui", "/_stcore/health"),
    "operator": ("warren.broker", ""),
}
"""What each service is started as, and the path at which it says that it is ready. All others are bots.

The operator is no service: it does what its arguments say (`declare`, `bot`, `dead`), and ends.
"""
TIMEOUT = 4.0
"""Seconds for the answer; the image's HEALTHCHECK gives the whole command five."""


def started(service: str) -> tuple[str, str]:
    """Return the module of a service or bot, and the path that tells of its health."""
    return SERVICES.get(service) or (f"bots.{service}.bot", "/metrics")


def health(url: str) -> int:
    """Return 0 if there is an answer that is no error, else 1, having said why."""
    try:
        with urlopen(url, timeout=TIMEOUT):  # noqa: S310 - the address is this container's own
            return 0
    except (URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


def main() -> int:
    """Run the service until it ends, or look after it."""
    module, path = started(os.environ["WARREN_SERVICE"])
    if sys.argv[1:] == ["--health"]:
        return health(f"http://127.0.0.1:{os.environ['WARREN_PORT']}{path}")
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
