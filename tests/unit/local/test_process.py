"""Child processes: started, paused, killed, and ended when whoever started them is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warren_local import pidfile
from warren_local.errors import LocalError
from warren_local.process import Process

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process("sleeper", SLEEP, home=tmp_path, log=tmp_path / "logs" / "sleeper.log", env=os.environ)
    yield made
    made.kill()


def test_it_runs_and_stops(process: Process) -> None:
    process.start()
    assert process.running
    assert process.pidfile.exists()
    process.stop()
    assert not process.running
    assert process.pid is None
    assert process.ending == "signal SIGTERM"
    assert not process.pidfile.exists()


def test_a_paused_one_can_be_stopped(process: Process) -> None:
    process.start()
    process.pause()
    process.stop()
    assert not process.running


def test_it_starts_again_after_a_kill(process: Process) -> None:
    process.start()
    first = process.pid
    process.kill()
    process.start()
    assert process.pid not in (None, first)


def test_a_second_start_is_refused(process: Process) -> None:
    process.start()
    with pytest.raises(LocalError, match="runs already"):
        process.start()


def test_one_in_use_elsewhere_is_left_alone(process: Process, tmp_path: Path) -> None:
    process.start()
    second = Process("sleeper", SLEEP, home=tmp_path, log=process.log, env=os.environ)
    with pytest.raises(LocalError, match=f"runs already as process {process.pid}"):
        second.start()
    assert pidfile.clear_all(tmp_path) == []
    assert process.running


def test_an_early_death_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no such luck')"
    dead = Process("dead", [sys.executable, "-c", code], home=tmp_path, log=tmp_path / "dead.log", env=os.environ)
    dead.answers = lambda: False  # type: ignore[method-assign]
    dead.start()
    with pytest.raises(LocalError, match=r"dead ended \(exit code 1\)[\s\S]*no such luck"):
        dead.wait_ready(20)


def orphan(home: Path) -> tuple[Path, int]:
    """A process whose starter is gone, as after a SIGKILL of the runner."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom warren_local.process import Process\n"
        f"p = Process('orphan', {SLEEP!r}, home=Path(sys.argv[1]), log=Path(sys.argv[1], 'o.log'), env=os.environ)\n"
        "p.start()\nprint(p.pid, flush=True)\nos._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], check=False, capture_output=True, text=True, timeout=60
    )
    return home / "run" / "orphan.json", int(done.stdout)


def test_a_leftover_is_ended(tmp_path: Path) -> None:
    record, pid = orphan(tmp_path)
    assert pidfile.created(pid) is not None
    assert pidfile.clear_all(tmp_path) == ["orphan"]
    assert pidfile.created(pid) is None
    assert not record.exists()


def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    record, pid = orphan(tmp_path)
    try:
        data = json.loads(record.read_text())
        record.write_text(json.dumps(data | {"created": data["created"] - 1000}))
        assert pidfile.clear_all(tmp_path) == []
        assert pidfile.created(pid) is not None
    finally:
        os.killpg(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while pidfile.created(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_broken_record_is_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "broken.json"
    record.write_text(content)
    assert pidfile.clear_all(tmp_path) == []
    assert not record.exists()
