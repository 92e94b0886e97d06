"""A RabbitMQ node of one's own, beside whatever the system runs."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from . import binaries, topology
from .binaries import RabbitMQPrograms
from .ports import HOST, accepts, require_free
from .process import Process

# Only what differs from the defaults. Logs go to the console, which is the process's log file.
CONFIG = """\
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 100MB
# With definitions to load, a new node makes no guest.
load_definitions = {definitions}
"""

# Erlang's schedulers spin while they wait, for latency on big machines; on two cores that starves everyone else.
ERLANG_ARGS = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


def opens_amqp(host: str, port: int) -> bool:
    """Whether a broker opens AMQP connections there."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as wire:
            wire.sendall(b"AMQP\x00\x00\x09\x01")
            # The first frame is Connection.Start: method frame (1) on channel 0.
            return wire.recv(3) == b"\x01\x00\x00"
    except OSError:
        return False


class BrokerProcess(Process):
    """A node of RabbitMQ and its port mapper (epmd), which ends with it."""

    _epmd: Process

    def stop(self) -> None:
        """Stop it in order, and its port mapper after it."""
        super().stop()
        self._epmd.stop()

    def kill(self) -> None:
        """SIGKILL it and its port mapper."""
        super().kill()
        self._epmd.kill()


class RabbitMQ(BrokerProcess):
    """A RabbitMQ node with its own data, cookie and port mapper."""

    def __init__(
        self, home: Path, port: int, name: str = "warren", programs: Callable[[], RabbitMQPrograms] = binaries.rabbitmq
    ) -> None:
        self.port = port
        self.programs = programs
        self.plugins: dict[str, int] = {}
        """Those that it starts with, by name, and where they listen."""
        self._home = home
        self.data = home / f"rabbitmq-{port}"
        log = home / "logs" / f"rabbitmq-{port}.log"
        super().__init__(f"rabbitmq-{port}", [], home=home, log=log, env=self._environment(name))
        self._epmd = Process(f"epmd-{port}", [], home=home, log=log.with_name(f"epmd-{port}.log"), env=self.env)

    @property
    def url(self) -> str:
        """Where its operator connects."""
        return self.url_of(topology.ADMINISTRATOR)

    def url_of(self, user: str) -> str:
        """Where one of its users connects."""
        return topology.url(self._home, self.port, user)

    def start(self) -> None:
        """Start it and return when clients can work; data of an earlier run is kept."""
        found = self.programs()
        self.command = [str(found.server)]
        self._epmd.command = [str(found.epmd), "-port", str(self.port + 2), "-address", HOST]
        self.env["PATH"] = self._epmd.env["PATH"] = found.path
        if not self._epmd.running:
            self._start_epmd()
        if not self.running:
            for port, what in ((self.port, "AMQP"), (self.port + 1, "distribution")):
                require_free(port, f"RabbitMQ ({what})")
            self._configure()
        super().start()
        self.wait_ready()

    def answers(self) -> bool:
        """Whether it opens AMQP connections, which RabbitMQ does after everything else has recovered."""
        return opens_amqp(HOST, self.port)

    def _start_epmd(self) -> None:
        require_free(self.port + 2, "RabbitMQ (epmd)")
        self._epmd.start()
        while not accepts(self.port + 2):
            self._epmd.wait_ready(1.0)

    def _configure(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        loaded = self.data / "definitions.json"
        loaded.touch(0o600)
        loaded.write_text(topology.users(self._home))
        (self.data / "rabbitmq.conf").write_text(CONFIG.format(definitions=loaded) + "".join(self._listeners()))
        (self.data / "enabled_plugins").write_text(f"[{','.join(self.plugins)}].\n")
        (self.data / "rabbitmq-env.conf").write_text("")

    def _listeners(self) -> Iterator[str]:
        for plugin, port in self.plugins.items():
            key = plugin.removeprefix("rabbitmq_")
            yield f"{key}.tcp.port = {port}\n{key}.tcp.ip = {HOST}\n"

    def _environment(self, name: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_", "XDG_"))}
        return inherited | {
            "HOME": str(self.data),  # the Erlang cookie lies here
            "ERL_EPMD_PORT": str(self.port + 2),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"{name}-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.data / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGS,
            # The start script then becomes the Erlang process instead of its parent, so signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
