"""A Warren service as a process: what `up` starts, and what tests and benchmarks start."""

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .home import repository, warren_home
from .ports import HOST, require_free
from .process import Process


def responds(port: int, path: str) -> bool:
    """Whether a GET on loopback is answered with 200 within a second."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Service(Process):
    """One replica of a service (`python -m module`); `start()` returns at once, `wait_ready()` when it can work."""

    def __init__(
        self, name: str, module: str, env: Mapping[str, str], port: int, log: Path,
        *, health: str = "/readyz", home: Path | None = None,
    ) -> None:  # fmt: skip
        own = {"WARREN_REPLICA": name, "WARREN_HOST": HOST, "WARREN_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        super().__init__(
            name, [sys.executable, "-m", module], home=home or warren_home(), log=log,
            env={**os.environ, **own, **env}, cwd=repository(),
        )  # fmt: skip
        self.port = port
        self.health = health

    @property
    def url(self) -> str:
        """The base URL of its HTTP port."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, without waiting until it answers; raise LocalError if its port is taken."""
        if not self.running:
            require_free(self.port, self.name)
        super().start()

    def answers(self) -> bool:
        """Whether it says that it can work."""
        return responds(self.port, self.health)
