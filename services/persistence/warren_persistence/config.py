"""Settings of the persistence service."""

from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8101
    mongo_url: str = "mongodb://127.0.0.1:27017/warren?replicaSet=warren"
    """The database's name is the path; the server must be a replica set, of one member at least."""
