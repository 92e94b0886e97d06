"""Settings of the presence service."""

from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8201
    mongo_url: str = "mongodb://127.0.0.1:27017/warren?replicaSet=warren"
    """The database's name is the path."""
