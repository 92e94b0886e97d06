"""A forked service is in every way like one that was started as in production."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.fork_server import ForkedService
from warren_local.errors import LocalError
from warren_local.ports import HOST
from warren_local.service import Service

ENV = {
    "WARREN_AMQP_URL": "amqp://nobody:nothing@127.0.0.1:1/",
    "WARREN_SECRET": "only-for-tests-only-for-tests-only-for-tests",
}
"""Where no broker is: for that a gateway waits."""
WITHIN = 60.0

Make = Callable[..., Service]


@pytest.fixture(params=[Service, ForkedService])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what makes a gateway, in each of the two ways."""

    def make(**env: str) -> Service:
        with socket.socket() as found:
            found.bind((HOST, 0))
            port = found.getsockname()[1]
        made: Service = request.param(
            "one", "warren_gateway", ENV | env, port, tmp_path / "one.log", health="/healthz", home=tmp_path
        )
        return made

    return make


def test_it_is_a_child_with_a_session_of_its_own_that_ends_by_the_signal_it_is_sent(make: Make) -> None:
    with make(WARREN_REPLICA="another") as service:
        service.wait_ready(WITHIN)
        assert service.pid is not None
        assert os.getsid(service.pid) == os.getpgid(service.pid) == service.pid
        assert '"replica": "another"' in service.log.read_text()
        service.pause()
        assert service.running
        service.stop()
        assert service.ending == "signal SIGTERM"
        assert '"stopped"' in service.log.read_text()


def test_it_is_killed_and_starts_again(make: Make) -> None:
    with make() as service:
        first = service.pid
        service.kill()
        assert service.ending == "signal SIGKILL"
        assert not service.running
        service.start()
        assert service.pid not in (None, first)
        service.wait_ready(WITHIN)


def test_it_is_killed_where_it_does_not_stop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make() as service:
        service.wait_ready(WITHIN)
        service.stop_timeout = 0.1
        monkeypatch.setattr(os, "killpg", _but_these(os.killpg, signal.SIGTERM, signal.SIGCONT))
        service.stop()
        assert service.ending == "signal SIGKILL"


def test_what_it_says_of_its_settings_and_its_exit_code_are_its_own(make: Make) -> None:
    with make(WARREN_SECRET="short") as service, pytest.raises(LocalError, match=r"exit code 2[\s\S]*WARREN_SECRET: "):
        service.wait_ready(WITHIN)


def test_another_command_is_started_as_it_is(tmp_path: Path) -> None:
    service = ForkedService("one", "warren_gateway", ENV, 0, tmp_path / "one.log", home=tmp_path)
    service.command[1:] = ["-c", "raise SystemExit('another')"]
    with service, pytest.raises(LocalError, match=r"exit code 1[\s\S]*another"):
        service.wait_ready(WITHIN)


def _but_these(send: Callable[[int, int], None], *lost: int) -> Callable[[int, int], None]:
    return lambda pid, number: None if number in lost else send(pid, number)
