"""Services as forks of a process that has imported them already: a second of processor time less for each start.

What starts is what `python -m MODULE` starts, with an environment, a log, and a process group of its own. Its parent is
the server, which says how it ended. Tests of `./dev`, of the images, and of an older version start services as anybody
does.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from warren_local.process import Child
from warren_local.service import Service

_SERVERS: dict[str, "_Server"] = {}
_LOCK = threading.Lock()
OPEN_FILES = 64
"""The server has far fewer."""


class ForkedService(Service):
    """A service that is forked instead of started anew."""

    def spawn(self) -> Child:
        """Start the process."""
        module = self.command[-1]
        # Another version's interpreter, or a test's own program around the service.
        unusual = self.command[0] != sys.executable or not module.startswith("warren_")
        # Some settings of OpenTelemetry are read when it is imported.
        if unusual or any(name.startswith("OTEL_") for name in self.env):
            return super().spawn()
        with _LOCK:
            server = _SERVERS.get(module)
            if server is None:
                server = _SERVERS[module] = _Server(module)
        return _Forked(server, server.ask(env=self.env, cwd=str(self.cwd), log=str(self.log)))


class _Server:
    """The process that forks, asked in a line of JSON and answering with a number."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._wire = ours.makefile("rw")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, module],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self._close, ours)

    def ask(self, **request: Any) -> int:
        """Send a request and return the answer."""
        with self._lock:
            self._wire.write(json.dumps(request) + "\n")
            self._wire.flush()
            return int(self._wire.readline())

    def _close(self, ours: socket.socket) -> None:
        ours.shutdown(socket.SHUT_RDWR)  # it ends then
        self._process.wait()


class _Forked:
    """A process that the server has forked, as subprocess.Popen has one."""

    def __init__(self, server: _Server, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return how it ended, or None while it lives."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._has_ended(timeout):
            self.returncode = self._server.ask(ended=self.pid)
            os.close(self._ended)
        return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        waiting = select.poll()
        waiting.register(self._ended, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else timeout * 1_000))


def _serve(module: str) -> None:
    service = importlib.import_module(f"{module}.__main__")
    if threading.active_count() > 1:
        raise RuntimeError("a fork takes no threads along")
    gc.collect()
    gc.freeze()  # or each child would copy what it only counts
    with socket.socket(fileno=os.dup(0)) as ours, ours.makefile("rw") as wire:
        for line in wire:
            asked = json.loads(line)
            if "ended" in asked:
                _, status = os.waitpid(asked["ended"], 0)
                answer = os.waitstatus_to_exitcode(status)
            else:
                answer = _fork(service, asked)
            wire.write(f"{answer}\n")
            wire.flush()


def _fork(service: Any, asked: Mapping[str, Any]) -> int:
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.write(told, b"1")
        _become(service, asked)
    os.close(told)
    os.read(ready, 1)  # it leads a group of its own
    os.close(ready)
    return pid


def _become(service: Any, asked: Mapping[str, Any]) -> NoReturn:
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for found, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(found, number)
    os.closerange(3, OPEN_FILES)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = [service.__name__]
    # Never back into the server's own code, whose files are closed here.
    os._exit(_ended(service.main))


def _ended(main: Callable[[], None]) -> int:
    """Run a program to its end, as the interpreter does, and return its exit code."""
    code: object = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(sys.argv[1])
