"""Servers in Docker containers, for machines that have Docker and not the servers' own programs.

Each start makes a container and each stop removes it; the data is in a named volume. Testcontainers' reaper removes
the containers of a runner that was killed.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warren.broker.definitions import password_variable

from . import mongodb as mongo
from . import rabbitmq as rabbit
from . import topology
from .errors import LocalError
from .home import repository
from .ports import HOST, require_free
from .process import POLL

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

RABBITMQ = "4.3"
"""The series of RabbitMQ. One does not start on the data of any but the last, so each has a volume of its own."""
MONGODB_IMAGE = "mongo:6.0"

START_TIMEOUT = 60.0
"""Seconds from a container's start until the server in it answers; fetching the image comes before."""


ENGINE_SOCKETS = (Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock")
"""Where an engine listens on Linux and with Docker Desktop, unless DOCKER_HOST says otherwise."""


def answers() -> bool:
    """Whether a Docker engine can be used from here."""
    if "DOCKER_HOST" not in os.environ and not any(path.exists() for path in ENGINE_SOCKETS):
        return False  # asking all the same would leave the client's half-open socket behind
    try:
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 - slow, and needed without programs only

        return bool(DockerClient(timeout=5).client.ping())
    except Exception:  # whatever is wrong with it, there is no engine to use
        return False


class Container:
    """A server in a container; it has the same methods as one run as a process."""

    def __init__(self, name: str, url: str, port: int, home: Path, make: Callable[[], "DockerContainer"],
                 is_ready: Callable[[], bool]) -> None:  # fmt: skip
        self.name = name
        self.url = url
        self.port = port
        self.log = home / "logs" / f"{name}.log"
        self.pid = None
        self._make = make
        self._is_ready = is_ready
        self._container: DockerContainer | None = None

    @property
    def running(self) -> bool:
        """Whether the container lives; a paused one does."""
        if self._container is None:
            return False
        wrapped: Any = self._container.get_wrapped_container()
        wrapped.reload()
        return str(wrapped.status) in ("running", "paused")

    def start(self) -> None:
        """Start it and return when clients can work; data of an earlier run is kept."""
        self._remove()  # one that died by itself
        require_free(self.port, self.name)
        self._container = self._make().start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            if not self.running or time.monotonic() > deadline:
                self._remove()
                raise LocalError(f"{self.name} did not answer in its container; its output is in {self.log}")
            time.sleep(POLL)

    def stop(self) -> None:
        """Stop it in order."""
        if self._container is not None and self.running:
            self._wrapped().stop()
        self._remove()

    def kill(self) -> None:
        """SIGKILL it."""
        self._remove()

    def pause(self) -> None:
        """Halt it where it stands."""
        self._wrapped().pause()

    def resume(self) -> None:
        """Let a paused one go on."""
        self._wrapped().unpause()

    def _wrapped(self) -> Any:
        if self._container is None:
            raise LocalError(f"{self.name} does not run.")
        return self._container.get_wrapped_container()

    def _remove(self) -> None:
        if self._container is None:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(self._wrapped().logs())
        self._container.stop(force=True)  # in testcontainers this kills and removes
        self._container = None


class BrokerContainer(Container):
    """RabbitMQ in a container."""

    def __init__(self, node: rabbit.RabbitMQ, home: Path, make: Callable[[], "DockerContainer"]) -> None:
        super().__init__(node.name, node.url, node.port, home, make, node.answers)
        self.url_of = node.url_of


def rabbitmq(home: Path, port: int) -> BrokerContainer:
    """RabbitMQ in a container, on a port of loopback, with the users that docker-compose gives it too."""
    node = rabbit.RabbitMQ(home, port)
    files = repository() / "deploy" / "rabbitmq"

    def make() -> "DockerContainer":
        made = _container(f"rabbitmq:{RABBITMQ}", 5672, port, f"warren-{node.name}-{RABBITMQ}", "/var/lib/rabbitmq")
        made.with_volume_mapping(files, "/warren", "ro")
        made.with_volume_mapping(files / "warren.conf", "/etc/rabbitmq/conf.d/20-warren.conf", "ro")
        for user, password in topology.passwords(home).items():
            made.with_env(password_variable(user), password)
        # The node's data belongs to its name, which holds the host's.
        return made.with_command("/warren/start.sh").with_kwargs(hostname="warren")

    return BrokerContainer(node, home, make)


def mongodb(home: Path, port: int) -> Container:
    """MongoDB in a container, on a port of loopback; inside it listens on the same port, by which the set knows it."""

    def make() -> "DockerContainer":
        made = _container(MONGODB_IMAGE, port, port, f"warren-mongodb-{port}", "/data/db")
        return made.with_command(["mongod", "--bind_ip_all", *mongo.arguments(port)])

    return Container(f"mongodb-{port}", mongo.url(port), port, home, make, lambda: mongo.is_primary(port))


def _container(image: str, inside: int, port: int, volume: str, folder: str) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - as in `answers`

    made = DockerContainer(image, volumes=[(volume, folder, "rw")])
    ports: dict[str, Any] = made.ports
    ports[str(inside)] = (HOST, port)  # its own method would open the port to the network
    return made
