"""`./dev bench`: what there is not is said in a sentence, and what runs beside something else takes other ports.

`./dev test`: folders are shared by processes.
"""

import subprocess
import sys

import pytest
from warren_local.__main__ import main
from warren_local.gates import CLUSTER, LONG, SIDE_BY_SIDE
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tests/unit"], [*SIDE_BY_SIDE, "tests/unit"]),
        (["tests/unit", "-n0"], [*SIDE_BY_SIDE, "tests/unit", "-n0"]),  # the last one counts
        (["tests/unit/local/test_gates.py"], ["tests/unit/local/test_gates.py"]),
        (["-k", "view"], ["-k", "view"]),
    ],
)
def test_folders_are_tested_side_by_side(
    arguments: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository())
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, command: ran.append(command))
    monkeypatch.setattr("sys.argv", ["./dev", "test", *arguments])
    main()
    assert ran == [[sys.executable, "-m", "pytest", *expected]]
