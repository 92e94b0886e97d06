"""`./dev up` while it runs: it says where, and that is no failure; another wish is."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from warren_local import supervisor
from warren_local.__main__ import main
from warren_local.ports import Ports
from warren_local.state import Row, State, running
from warren_local.table import SERVICES


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """Return the state of a Warren that this process runs, as the file has it that `up` writes."""
    monkeypatch.setenv("WARREN_HOME", str(tmp_path))
    state = State.own(8000)
    state.ready = True
    state.rows = [
        Row("gateway", "gateway-1", os.getpid(), 8000, "/readyz"),
        Row("gateway", "gateway-2", os.getpid(), 8010, "/readyz"),
        Row("operations", "operations-1", os.getpid(), 8502, None),
        Row("ui", "ui-1", os.getpid(), 8501, None),
    ]
    state.save(tmp_path)
    return state


def up(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["./dev", "up", *arguments])
    return main()


@pytest.mark.parametrize("arguments", [(), ("--detach",), ("--port-base", "8000")])
def test_it_says_where_it_runs(
    runs: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert up(monkeypatch, *arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "Warren is up already" in said.out
    for address in ("chat        http://127.0.0.1:8501", "http://127.0.0.1:8000  http://127.0.0.1:8010", ":8502"):
        assert address in said.out


def test_one_that_is_starting_is_no_failure_either(
    runs: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.ready = False
    runs.save(tmp_path)
    assert up(monkeypatch, "--detach", "--scale", "gateway=2") == 0
    assert "Warren is starting" in capsys.readouterr().out


async def test_where_it_is_is_said_before_whoever_waits_for_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up --detach` shows what is said until all is ready, and ends."""
    said: list[tuple[str, bool]] = []

    def print_line(line: str) -> None:
        now = running(tmp_path)
        said.append((line, now is not None and now.ready))

    servers = SimpleNamespace(url="mongodb://127.0.0.1:1/", url_of=lambda user: f"amqp://{user}@127.0.0.1:1/")
    monkeypatch.setattr(supervisor, "print_line", print_line)
    found = supervisor.Supervisor(tmp_path, Ports(8000), dict.fromkeys(SERVICES, 0))

    async def start_servers() -> tuple[SimpleNamespace, SimpleNamespace]:
        return servers, servers

    monkeypatch.setattr(found, "_start_servers", start_servers)
    await found._work()
    assert said[0][0].startswith("Warren is up")
    assert said[-1][0].startswith("  chat")
    assert not any(ready for _, ready in said)
    assert found.state.ready


@pytest.mark.parametrize("arguments", [("--port-base", "9000"), ("--scale", "gateway=3")])
def test_who_wanted_it_otherwise_is_told_that_it_is_not(
    runs: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert up(monkeypatch, *arguments) == 1
    assert "Warren runs already, otherwise" in capsys.readouterr().err
