"""What the environment decides."""

import sys
from functools import cached_property
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from streamlit.watcher import polling_path_watcher

FILES_EVERY = 1.0
"""Seconds; the process's end waits for as long."""
CALLBACK = "/oauth2callback"
"""Where Streamlit takes people back from their provider."""


_Settings = TypeVar("_Settings", bound=BaseSettings)


def read_settings(program: str, settings: type[_Settings]) -> _Settings:
    """Read them, or end the program: what is wrong with them is said in a line each, without values.

    `warren.ops.settings` has the same for services. The UI installs nothing of theirs, so it has its own; a test has
    both say the same.
    """
    try:
        return settings()
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            where = "".join(f"WARREN_{str(part).upper()}: " for part in found["loc"][:1])
            print(f"{program}: {where}{found['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        sys.exit(2)


def check_files_seldom() -> None:
    """Have Streamlit look for changes of its settings' files once a second.

    It does five times, in four threads, which is most of what a page takes that nobody looks at; nobody changes them.
    """
    polling_path_watcher._POLLING_PERIOD_SECS = FILES_EVERY  # type: ignore[misc]  # which mypy alone holds to be final


class Settings(BaseSettings):
    """Read from WARREN_* variables; an empty one counts as not given. Gateways are comma-separated base URLs."""

    # What is wrong is named without its value, which may be a secret.
    model_config = SettingsConfigDict(
        env_prefix="WARREN_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = 8501
    log_level: str = "info"
    gateways: str = "http://127.0.0.1:8000"
    """Where browsers reach the gateways."""
    gateway_internal: str = ""
    """Where this server reaches them, if that differs."""
    auth: Literal["guest", "oidc"] = "guest"
    """How people sign in: by saying a name, or at an OpenID Connect provider whose tokens the gateways take."""
    oidc_metadata_url: str | None = None
    """The provider's discovery document, `https://…/.well-known/openid-configuration`."""
    oidc_client_id: str | None = None
    """Whom the provider knows this installation as; the gateways' `WARREN_AUDIENCE`."""
    oidc_client_secret: SecretStr | None = None
    oidc_redirect_uri: str | None = None
    """This UI's own address, with `/oauth2callback`, as the provider has it on its list."""
    cookie_secret: SecretStr | None = Field(default=None, min_length=32)
    """Signs the cookies that keep people signed in; the same on every replica."""

    @cached_property
    def browser_gateways(self) -> list[str]:
        """The gateways' base URLs for browsers."""
        return _urls(self.gateways)

    @cached_property
    def server_gateways(self) -> list[str]:
        """The gateways' base URLs for this server."""
        return _urls(self.gateway_internal) or self.browser_gateways

    @property
    def oidc(self) -> bool:
        """Whether people sign in at a provider."""
        return self.auth == "oidc"

    @field_validator("oidc_metadata_url", "oidc_redirect_uri")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        if url is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an http or https URL")
        return url

    @field_validator("oidc_redirect_uri")
    @classmethod
    def _callback(cls, url: str | None) -> str | None:
        if url is not None and not urlsplit(url).path.endswith(CALLBACK):
            raise ValueError(f"must end with {CALLBACK}")
        return url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = ("oidc_metadata_url", "oidc_client_id", "oidc_client_secret", "oidc_redirect_uri", "cookie_secret")
        missing = [f"WARREN_{name.upper()}" for name in needed if getattr(self, name) is None]
        if self.oidc and missing:
            raise ValueError(f"WARREN_AUTH=oidc needs {', '.join(missing)}")
        return self


def _urls(listed: str) -> list[str]:
    return [url.strip().rstrip("/") for url in listed.split(",") if url.strip()]
