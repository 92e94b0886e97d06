"""Settings that every service has, read from `WARREN_…` variables in `main` and nowhere else."""

import os
import socket

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_replica() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(BaseSettings):
    """The settings that all services share."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", extra="ignore")

    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/?heartbeat=10"
    replica: str = Field(default_factory=_default_replica)
    """Names this process in connection names and logs; unique among the replicas of a service."""
    host: str = "127.0.0.1"
    port: int
    """Where the service listens for HTTP."""
    log_level: str = "info"
