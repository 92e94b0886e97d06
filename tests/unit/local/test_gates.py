"""`./dev bench`: what there is not is said in a sentence, and what runs beside something else takes other ports."""

import subprocess
import sys

import pytest
from warren_local.__main__ import main
from warren_local.gates import CLUSTER, LONG
from warren_local.home import repository


def test_a_benchmark_that_there_is_not_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("ran something"))
    monkeypatch.setattr("sys.argv", ["./dev", "bench", "nosuch"])
    assert main() == 1
    assert "There is no benchmark nosuch" in capsys.readouterr().err


def test_benchmarks_take_the_ports_that_they_are_given() -> None:
    script = "from benchmarks.warren import BASE_PORT; print(BASE_PORT)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository(),
        env={"WARREN_BENCH_PORT": "24500"},
        capture_output=True,
        check=True,
    )
    assert found.stdout.split() == [b"24500"]


def test_what_has_a_long_form_is_there() -> None:
    """A renamed file would be left out, since pytest is given others beside it."""
    assert [path for path in (*LONG, CLUSTER) if not (repository() / path).exists()] == []
