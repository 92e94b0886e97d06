"""Settings of the gateway."""

from typing import Literal

from pydantic import Field, SecretStr
from warren.ops.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables."""

    port: int = 8000
    auth: Literal["guest"] = "guest"
    """How people prove who they are. `guest`: whoever asks gets a token; for trying out."""
    secret: SecretStr = Field(min_length=32)
    """Signs guest tokens (HS256); the same on every gateway."""
    token_seconds: int = Field(default=30 * 24 * 3600, ge=1)
    """How long a guest token is good for."""
    origins: str = "*"
    """Comma-separated origins whose pages may call the HTTP API (CORS)."""
    frames_per_second: float = Field(default=50.0, gt=0)
    frames_burst: int = Field(default=500, ge=1)
    """A connection may send so many frames a second, and so many at once; more closes it with 4505."""
    unanswered: int = Field(default=100, ge=1)
    """Sends of one connection that wait for their ack at once."""
    rooms_per_connection: int = Field(default=200, ge=1)
    outbox_bytes: int = Field(default=2 * 1024 * 1024, ge=2 * 1024 * 1024)
    """What may wait for a reader in the socket's buffer; more closes it with 4008. At least what one step of a replay
    sends to a healthy reader, even when each text is as long as it may be."""
    heads_seconds: float = Field(default=30.0, gt=0)
    """How often the heads of all rooms are compared with the store, to find a lost tail."""
