"""Settings of the persistence service."""

from pydantic import Field
from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8101
    mongo_url: str = "mongodb://127.0.0.1:27017/warren?replicaSet=warren"
    """The database's name is the path; the server must be a replica set, of one member at least."""
    gateway_users: str = "gateway"
    """Comma-separated broker users that speak for anybody, because they have checked a token."""
    rooms_per_person: int = Field(default=1_000, ge=1)
    """How many rooms somebody may be a member of."""
