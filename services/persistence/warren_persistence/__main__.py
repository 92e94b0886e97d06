"""`python -m warren_persistence`."""

from warren.ops.serve import health_app, serve
from warren.ops.settings import read_settings

from warren_persistence.app import Persistence
from warren_persistence.config import Settings


def main() -> None:
    """Run one replica until SIGTERM."""
    settings = read_settings("persistence", Settings)
    serve("persistence", settings, health_app(lambda: Persistence(settings).run()))


if __name__ == "__main__":
    main()
