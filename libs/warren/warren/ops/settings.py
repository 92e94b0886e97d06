"""Settings that every service has, read from `WARREN_…` variables in `main` and nowhere else."""

import os
import socket
import sys
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from warren.contract.nodes import node_urls


def _default_replica() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _checked(amqp_url: str) -> str:
    return ",".join(node_urls(amqp_url))


class ServiceSettings(BaseSettings):
    """The settings that all services share."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", extra="ignore", hide_input_in_errors=True)

    amqp_url: Annotated[str, AfterValidator(_checked)] = "amqp://guest:guest@127.0.0.1:5672/?heartbeat=10"
    """The broker; of a cluster every node, comma-separated. With passwords, so it goes into no log."""
    replica: str = Field(default_factory=_default_replica)
    """Names this process in connection names and logs; unique among the replicas of a service."""
    host: str = "127.0.0.1"
    port: int
    """Where the service listens for HTTP."""
    log_level: str = "info"


S = TypeVar("S", bound=ServiceSettings)


def read_settings(service: str, kind: type[S]) -> S:
    """Return the settings from the environment, or end the process: what is wrong is said in a line each.

    Without values, which may be secrets.
    """
    try:
        return kind()
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            where = "".join(f"WARREN_{str(part).upper()}: " for part in found["loc"][:1])
            print(f"{service}: {where}{found['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        sys.exit(2)
