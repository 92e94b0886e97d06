"""RabbitMQ 4.3 on three nodes and MongoDB on three members, each on a host of its own, with production's settings."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from warren.broker.definitions import template
from warren_local import topology
from warren_local.binaries import RabbitMQPrograms
from warren_local.home import broker_password, repository, secret
from warren_local.process import Process
from warren_local.rabbitmq import CONFIG, BrokerProcess, opens_amqp

from harness import network, rabbitmq_4
from harness.members import Members
from harness.network import Host, Network
from harness.replica_set import Place, ReplicaSet
from harness.stack import Stack

NODES = 3
AMQP, EPMD, MONGODB = 5672, 4369, 27017
COMMAND_WITHIN = 60.0
"""Seconds for one of RabbitMQ's commands, which start an Erlang VM each; a bound, not an expectation."""
BROKER = repository() / "deploy" / "kubernetes" / "components" / "rabbitmq-cluster" / "rabbitmq.yaml"
REPLACED = ("load_definitions", "disk_free_limit")
"""Settings of production's brokers that are about its machines."""
ERLANG_ARGS = "+sbwt none +sbwtdcpu none +sbwtdio none"
FORMATION = "cluster_formation.peer_discovery_backend = classic_config\n"


def production_config() -> str:
    """Return what production's nodes have in their configuration beyond RabbitMQ's defaults."""
    objects = yaml.safe_load_all(BROKER.read_text())
    (cluster,) = (one for one in objects if one["kind"] == "RabbitmqCluster")
    lines = cluster["spec"]["rabbitmq"]["additionalConfig"].splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(REPLACED))


class BrokerNode(BrokerProcess):
    """One node of a RabbitMQ cluster, which it joins by itself, and its port mapper (epmd)."""

    def __init__(self, home: Path, host: Host, name: str, cluster: dict[str, str], programs: RabbitMQPrograms) -> None:
        self.host = host
        self.node = f"rabbit@{name}"
        self.data = home / name
        self._home = home
        self._cluster = cluster
        self._programs = programs
        self._cookie = secret(home, "cookie")
        log = home / "logs" / f"{name}.log"
        super().__init__(name, [*host.prefix, str(programs.server)], home=home, log=log, env=self._environment())
        mapper = [*host.prefix, str(programs.epmd), "-port", str(EPMD), "-address", host.address]
        self._epmd = Process(f"epmd-{name}", mapper, home=home, log=log.with_name(f"epmd-{name}.log"), env=self.env)

    def url_of(self, user: str) -> str:
        """Where one of the broker's users connects to this node."""
        return f"amqp://{user}:{broker_password(self._home, user)}@{self.host.address}:{AMQP}/?heartbeat=10"

    def start(self) -> None:
        """Start it, without waiting until clients can work; data of an earlier run is kept."""
        self._configure()
        if not self._epmd.running:
            self._epmd.start()
        super().start()

    def answers(self) -> bool:
        """Whether it opens AMQP connections, which RabbitMQ does after everything else has recovered."""
        return opens_amqp(self.host.address, AMQP)

    def ctl(self, *arguments: str, program: str = "rabbitmqctl") -> str:
        """Do this with one of RabbitMQ's own commands on the node; return what it says."""
        words = [*self.host.prefix, str(self._programs.server.with_name(program)), "--silent", "--node", self.node]
        done = subprocess.run(
            [*words, *arguments], env=self.env, check=True, capture_output=True, text=True, timeout=COMMAND_WITHIN
        )  # fmt: skip
        return done.stdout

    def _configure(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        definitions, cookie = self.data / "definitions.json", self.data / ".erlang.cookie"
        defined = json.loads(topology.users(self._home)) | {"policies": template()["policies"]}
        for file, text in ((definitions, json.dumps(defined)), (cookie, self._cookie)):
            file.unlink(missing_ok=True)
            file.touch(0o600)
            file.write_text(text)
        nodes = enumerate(self._cluster, 1)
        formation = "".join(f"cluster_formation.classic_config.nodes.{n} = rabbit@{name}\n" for n, name in nodes)
        config = CONFIG.format(definitions=definitions) + production_config() + FORMATION + formation
        (self.data / "rabbitmq.conf").write_text(config)
        (self.data / "enabled_plugins").write_text("[].\n")
        (self.data / "rabbitmq-env.conf").write_text("")
        (self.data / "inetrc").write_text("{lookup,[file]}.\n" + "".join(self._names()))

    def _names(self) -> Iterator[str]:
        """Yield what the node knows of names: no server of names is needed."""
        for name, address in {**self._cluster, "localhost": "127.0.0.1"}.items():
            yield f'{{host,{{{address.replace(".", ",")}}},["{name}"]}}.\n'

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_", "XDG_"))}
        return inherited | {
            "HOME": str(self.data),  # the Erlang cookie lies here
            "ERL_INETRC": str(self.data / "inetrc"),
            "ERL_EPMD_PORT": str(EPMD),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": self.host.address,
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.data / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGS,
            # The start script then becomes the Erlang process instead of its parent, so signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


class BrokerCluster(Members[BrokerNode]):
    """Nodes of RabbitMQ that know of each other from the start; to a stack the same as the one broker it mostly has."""

    def __init__(self, home: Path, hosts: Sequence[Host], programs: RabbitMQPrograms) -> None:
        named = {f"broker-{number}": host.address for number, host in enumerate(hosts, 1)}
        nodes = [BrokerNode(home, host, name, named, programs) for name, host in zip(named, hosts, strict=True)]
        super().__init__("rabbitmq", nodes)
        self.known = self.members
        """Those that services are told of."""

    @property
    def url(self) -> str:
        """Where its operator connects."""
        return self.url_of(topology.ADMINISTRATOR)

    def url_of(self, user: str) -> str:
        """Where one of its users connects: every node, or those that are known."""
        return ",".join(node.url_of(user) for node in self.known)

    def start(self) -> None:
        """Start all nodes that do not run, and return when clients can work on each."""
        self.start_processes()
        self.all(BrokerNode.wait_ready)


class Cluster(Stack):
    """All of Warren on clusters of both servers; its services are on this machine, which is on their network."""

    rabbitmq: BrokerCluster
    mongodb: ReplicaSet

    def __init__(self, home: Path, base: int, network: Network, programs: RabbitMQPrograms, **options: Any) -> None:
        brokers, stores = network.hosts[:NODES], network.hosts[NODES:]
        places = [Place(host.address, MONGODB, host.prefix) for host in stores]
        servers = BrokerCluster(home, brokers, programs), ReplicaSet(home, places)
        super().__init__(home, base, presence=2, servers=servers, **options)
        self._network = network
        self._hosts: dict[Process, Host] = {**dict(zip(self.rabbitmq.members, brokers, strict=True))}
        self._hosts |= dict(zip(self.mongodb.members, stores, strict=True))

    def know(self, *nodes: BrokerNode) -> None:
        """Have services that are started from now on know these nodes alone; all of them without any."""
        self.rabbitmq.known = nodes or self.rabbitmq.members
        for service in self.services:
            service.env["WARREN_AMQP_URL"] = self.amqp_url(service.name.partition("-")[0])

    def connections(self, node: BrokerNode) -> int:
        """Return how many connections the services have to a node."""
        return sum(
            bool(found.raddr) and found.raddr.ip == node.host.address
            for service in self.services
            if service.pid is not None
            for found in psutil.Process(service.pid).net_connections("tcp")
        )

    def busiest(self) -> BrokerNode:
        """Return the node to which most connections lead."""
        return max(self.rabbitmq.members, key=self.connections)

    def idlest(self) -> BrokerNode:
        """Return the node to which fewest lead."""
        return min(self.rabbitmq.members, key=self.connections)

    def cut_off(self, member: Process, *, clients: bool) -> None:
        """Cut a node or member off from the others, and from the services unless its `clients` stay with it."""
        host = self._hosts[member]
        others = [other.address for other in self._network.hosts if other is not host]
        host.cut(*others, *(() if clients else (self._network.machine,)))

    def heal(self) -> None:
        """Let everything pass again."""
        for host in self._network.hosts:
            host.heal()

    def mend(self) -> None:
        """Make it whole, whatever has been done to it."""
        self.heal()
        for servers in (self.rabbitmq, self.mongodb):
            servers.resume()
            servers.start()


@contextmanager
def clustered(home: Path, base: int, **options: Any) -> Iterator[Cluster]:
    """Start a cluster with two replicas of each service; stop it in the end. Skips the test where it cannot be had."""
    if not network.available():
        pytest.skip(network.MISSING)
    programs = rabbitmq_4.rabbitmq_4()
    if programs is None:
        pytest.skip(rabbitmq_4.MISSING)
    names = [f"{kind}{number}" for kind in ("broker", "store") for number in range(1, NODES + 1)]
    with Network(base // 500 % 256, names) as made, Cluster(home, base, made, programs, **options).running() as cluster:
        yield cluster
