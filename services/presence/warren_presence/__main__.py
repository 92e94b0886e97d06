"""`python -m warren_presence`."""

from warren.ops.serve import health_app, serve
from warren.ops.settings import read_settings

from warren_presence.app import work
from warren_presence.config import Settings


def main() -> None:
    """Run one replica until SIGTERM."""
    settings = read_settings("presence", Settings)
    serve("presence", settings, health_app(lambda: work(settings)))


if __name__ == "__main__":
    main()
