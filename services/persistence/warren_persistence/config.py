"""Settings of the persistence service."""

from pydantic import Field, field_validator
from warren.contract.bots import bot_name, bot_user
from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8101
    mongo_url: str = "mongodb://127.0.0.1:27017/warren?replicaSet=warren"
    """The database's name is the path; the server must be a replica set, of one member at least."""
    gateway_users: str = "gateway"
    """Comma-separated broker users that speak for anybody, because they have checked a token."""
    read_everything: str = ""
    """Comma-separated names of bots that are sent what is said in every room, direct and private ones included."""
    bundle_events: bool = False
    """Whether events of many rooms go out in one message, which gateways of versions before do not understand."""
    rooms_per_person: int = Field(default=1_000, ge=1)
    """How many rooms somebody may be a member of."""

    @field_validator("read_everything")
    @classmethod
    def _names(cls, names: str) -> str:
        for name in filter(None, names.split(",")):
            if bot_name(bot_user(name)) is None:
                raise ValueError(f"{name!r} is no bot's name; separate several by commas")
        return names

    @property
    def reading_everything(self) -> frozenset[str]:
        """The bots of `read_everything`."""
        return frozenset(filter(None, self.read_everything.split(",")))
