"""The broker and the database, from wherever this machine has them."""

import os
from pathlib import Path
from typing import Protocol

from . import binaries, docker
from .errors import LocalError
from .mongodb import MongoDB
from .rabbitmq import RabbitMQ


class Server(Protocol):
    """What can be asked of a broker or database, however it is run."""

    name: str
    log: Path

    @property
    def url(self) -> str:
        """Where clients connect."""

    @property
    def running(self) -> bool:
        """Whether it lives; a paused one does."""

    @property
    def pid(self) -> int | None:
        """Its process id, if it is a process of this runner."""

    def start(self) -> None:
        """Start it and return when clients can work; data of an earlier run is kept."""

    def stop(self) -> None:
        """Stop it in order."""

    def kill(self) -> None:
        """End it as a power cut would."""

    def pause(self) -> None:
        """Halt it where it stands."""

    def resume(self) -> None:
        """Let a paused one go on."""


class Broker(Server, Protocol):
    """A broker, whose `url` is its operator's."""

    def url_of(self, user: str) -> str:
        """Where one of its users connects."""


class External:
    """A server somebody else runs; it is used and never touched."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.log = Path(os.devnull)
        self.running = True
        self.pid = None

    def url_of(self, user: str) -> str:
        """The one URL that is known, whoever asks."""
        return self.url

    def start(self) -> None:
        """Nothing: it runs already."""

    def stop(self) -> None:
        """Nothing: it is not ours to stop."""

    def kill(self) -> None:
        """Refused."""
        raise LocalError(f"{self.name} at {self.url} is not run by Warren, so it cannot be killed or paused.")

    pause = resume = kill


def broker(home: Path, port: int) -> Broker:
    """RabbitMQ: the one at WARREN_AMQP_URL, else a node of this machine's programs, of Docker, or to be installed."""
    if given := os.environ.get("WARREN_AMQP_URL"):
        return External("rabbitmq", given)
    if binaries.find_rabbitmq() is None and docker.answers():
        return docker.rabbitmq(home, port)
    return RabbitMQ(home, port)


def database(home: Path, port: int) -> Server:
    """MongoDB: the one at WARREN_MONGO_URL, else one of this machine's programs, of Docker, or to be installed."""
    if given := os.environ.get("WARREN_MONGO_URL"):
        return External("mongodb", given)
    if binaries.find_mongod() is None and docker.answers():
        return docker.mongodb(home, port)
    return MongoDB(home, port)


def prepare() -> None:
    """Have what is missing installed now, before several that need it do so at once."""
    if not docker.answers():
        binaries.rabbitmq()
        binaries.mongod()
