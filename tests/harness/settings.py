"""The settings of each service, as the service itself reads them."""

from collections.abc import Mapping

import pytest
import warren_gateway.config
import warren_persistence.config
import warren_presence.config
import warren_ui.config
import warren_ui.operations.config
from pydantic_settings import BaseSettings

SETTINGS: dict[str, type[BaseSettings]] = {
    "gateway": warren_gateway.config.Settings,
    "persistence": warren_persistence.config.Settings,
    "presence": warren_presence.config.Settings,
    "ui": warren_ui.config.Settings,
    "operations": warren_ui.operations.config.Settings,
}
OTHERS = {
    "echo": {"WARREN_AMQP_URL", "WARREN_ECHO_ROOMS", "WARREN_LOG_LEVEL"},
    "echo-login": {"WARREN_AMQP_URL", "WARREN_BOT_PASSWORD"},
    "declare": {"WARREN_AMQP_URL"},
}
"""What is read elsewhere than in settings."""


def known(service: str) -> set[str]:
    """Return the WARREN_ variables that a service reads."""
    if service in OTHERS:
        return OTHERS[service]
    return {f"WARREN_{name.upper()}" for name in SETTINGS[service].model_fields}


def read(service: str, env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> BaseSettings:
    """Return the settings that a service makes of an environment; raises ValidationError."""
    with monkeypatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return SETTINGS[service]()
