"""Settings of the presence service."""

from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8201
