"""What the environment decides."""

from functools import cached_property
from urllib.parse import urlsplit

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from warren_ui.operations.scrape import Target


class Settings(BaseSettings):
    """Read from WARREN_* variables; an empty one counts as not given."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", env_ignore_empty=True, frozen=True)

    host: str = "127.0.0.1"
    port: int = 8502
    log_level: str = "info"
    targets: str = (
        "gateway=http://127.0.0.1:8000,persistence=http://127.0.0.1:8101,presence=http://127.0.0.1:8201"
    )  # fmt: skip
    """`service=URL`, comma-separated; whatever addresses the URL's host has are replicas of the service."""

    @cached_property
    def watched(self) -> list[Target]:
        """Whom to scrape; a URL without a path leads to `/metrics`."""
        return [_target(text) for text in self.targets.split(",") if text.strip()]

    @field_validator("targets")
    @classmethod
    def _readable(cls, targets: str) -> str:
        texts = [text for text in targets.split(",") if text.strip()]
        if not texts:
            raise ValueError("names nobody")
        for text in texts:
            _target(text)
        return targets


def _target(text: str) -> Target:
    service, _, url = (part.strip() for part in text.partition("="))
    try:
        parts = urlsplit(url)
        sound = service and parts.scheme == "http" and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:  # of the port
        sound = False
    if not sound:
        raise ValueError(f"must be service=http://host:port, comma-separated, not {text.strip()!r}")
    return Target(service, url if parts.path.strip("/") else parts._replace(path="/metrics").geturl())
