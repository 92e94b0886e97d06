"""What the environment decides."""

from functools import cached_property

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from WARREN_* variables. The gateway lists are comma-separated base URLs."""

    model_config = SettingsConfigDict(env_prefix="WARREN_", frozen=True)

    host: str = "127.0.0.1"
    port: int = 8501
    log_level: str = "info"
    gateways: str = "http://127.0.0.1:8000"
    """Where browsers reach the gateways."""
    gateway_internal: str = ""
    """Where this server reaches them, if that differs."""

    @cached_property
    def browser_gateways(self) -> list[str]:
        """The gateways' base URLs for browsers."""
        return _urls(self.gateways)

    @cached_property
    def server_gateways(self) -> list[str]:
        """The gateways' base URLs for this server."""
        return _urls(self.gateway_internal) or self.browser_gateways


def _urls(listed: str) -> list[str]:
    return [url.strip().rstrip("/") for url in listed.split(",") if url.strip()]
