"""Which port belongs to whom, and whether it is free. Everything listens on loopback."""

import socket
from dataclasses import dataclass

from .errors import LocalError

HOST = "127.0.0.1"
MOST_REPLICAS = {"gateway": 9, "persistence": 99, "presence": 99, "ui": 1, "operations": 1, "echo": 1}
"""Replicas a service may have before its ports would run into the next block."""


@dataclass(frozen=True)
class Ports:
    """The ports of one running Warren, all counted from one base."""

    base: int = 8000

    def __post_init__(self) -> None:
        if not 1024 <= self.base <= 65535 - 503:
            raise LocalError(f"--port-base must lie between 1024 and {65535 - 503}, not {self.base}.")

    def service(self, service: str, replica: int) -> int:
        """The HTTP port of a service's replica; replicas count from 1."""
        match service:
            case "gateway":
                return self.base + 10 * (replica - 1)
            case "persistence":
                return self.base + 100 + replica
            case "presence":
                return self.base + 200 + replica
            case "ui":
                return self.base + 501
            case "operations":
                return self.base + 502
            case "echo":
                return self.base + 503
        raise LocalError(f"No port is set aside for {service}.")

    @property
    def amqp(self) -> int:
        """RabbitMQ's AMQP port; its distribution and its port mapper (epmd) have the two after it."""
        return self.base + 300

    @property
    def mongodb(self) -> int:
        """MongoDB's port."""
        return self.base + 400


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a port whose old connections linger in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def require_free(port: int, who: str) -> None:
    """Raise LocalError, naming the port and who wanted it, if something listens there."""
    if not is_free(port):
        raise LocalError(
            f"Port {port} is in use, and {who} needs it. "
            "End what listens there, or take other ports: ./dev up --port-base 9000"
        )


def accepts(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
