"""What is wrong with the settings is said without their values, by services and by the UI in the same words."""

from collections.abc import Callable
from typing import Any, Self

import pytest
from pydantic import Field, SecretStr, model_validator
from warren.ops import settings as of_services
from warren.ops.settings import ServiceSettings
from warren_ui import config as of_the_ui

READERS: list[Callable[[str, Any], Any]] = [of_services.read_settings, of_the_ui.read_settings]


class Settings(ServiceSettings):
    """Some that can be wrong one by one, and together."""

    port: int = 1
    secret: SecretStr = Field(default=SecretStr("x" * 32), min_length=32)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.port == 13:
            raise ValueError("this port goes with no secret")
        return self


@pytest.mark.parametrize("read", READERS)
def test_what_is_right_is_returned(read: Callable[[str, Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_PORT", "5")
    assert read("ui", Settings).port == 5


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"PORT": "hush", "SECRET": "hush"},
            "ui: WARREN_PORT: Input should be a valid integer, unable to parse string as an integer\n"
            "ui: WARREN_SECRET: Value should have at least 32 items after validation, not 4\n",
        ),
        ({"PORT": "13"}, "ui: this port goes with no secret\n"),
    ],
)
def test_what_is_wrong_ends_the_program_with_a_line_each(
    read: Callable[[str, Any], Any],
    given: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"WARREN_{name}", value)
    with pytest.raises(SystemExit) as ended:
        read("ui", Settings)
    assert ended.value.code == 2
    assert capsys.readouterr().err == said
