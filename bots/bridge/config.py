"""What the bridge connects: a JSON file that the operator writes. It holds secrets; nobody else should read it."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AnyHttpUrl, Field, SecretStr, StringConstraints
from warren.contract.ids import RoomId
from warren.contract.wire import Strict

HookName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$")]
Secret = Annotated[SecretStr, Field(min_length=16)]


class Incoming(Strict):
    """Whoever has the token says something in the room: `POST /hooks/<name>`."""

    room: RoomId
    token: Secret


class Outgoing(Strict):
    """What is said in the rooms is posted to the URL, signed with the secret. `tries`: before it is given up."""

    rooms: frozenset[RoomId] = Field(min_length=1)
    url: Annotated[AnyHttpUrl, Field(strict=False)]
    secret: Secret
    tries: int = Field(default=18, ge=1, le=100)


class Config(Strict):
    """The hooks by name, and where the bridge listens. Put a proxy with HTTPS before it, as before the gateways."""

    incoming: dict[HookName, Incoming] = Field(default_factory=dict)
    outgoing: dict[HookName, Outgoing] = Field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65_535)
    state: str = "bridge.db"

    @property
    def rooms(self) -> set[str]:
        """Return all rooms that the bridge is in."""
        said = {hook.room for hook in self.incoming.values()}
        return said.union(*(hook.rooms for hook in self.outgoing.values()))


def load() -> Config:
    """Read the file that WARREN_BRIDGE_CONFIG names. Raises OSError and ValidationError."""
    return Config.model_validate_json(Path(os.environ.get("WARREN_BRIDGE_CONFIG", "bridge.json")).read_bytes())
