"""The operator's command: what is wrong in its words is said before anything is asked of a broker."""

import sys

import pytest
from warren.broker.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bot BAD_NAME", "'BAD_NAME' is no bot's name"),
        ("bot x.dead --remove", "'x.dead' is no bot's name"),
        ("bot hello --room General", "'General' is no room's id"),
        ("bot hello --room general --room no/room", "'no/room' is no room's id"),
        ("dead list --bot Hello", "'Hello' is no bot's name"),
    ],
)
def test_a_name_that_nobody_can_have_is_refused(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A room that can't be would be followed for ever, and a bot that can't be would hear nothing of its own."""
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://127.0.0.1:1/")
    monkeypatch.setattr(sys, "argv", ["warren", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_all_public_rooms_are_a_room(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://127.0.0.1:1/")
    monkeypatch.setattr(sys, "argv", ["warren", "bot", "hello", "--room", "*"])
    assert main() == 1
    assert "is not to be had" in capsys.readouterr().err  # there is no broker
