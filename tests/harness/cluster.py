"""RabbitMQ 4.3 on three nodes and MongoDB on three members, each on a host of its own, with production's settings."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from warren_local import binaries, topology
from warren_local.binaries import RabbitMQPrograms
from warren_local.home import broker_password, repository, secret
from warren_local.process import Process
from warren_local.rabbitmq import CONFIG, opens_amqp

from harness import network, rabbitmq_4
from harness.network import Host, Network
from harness.stack import Stack

NODES = 3
AMQP, EPMD, MONGODB = 5672, 4369, 27017
COMMAND_WITHIN = 60.0
"""Seconds for one of RabbitMQ's commands, which start an Erlang VM each; a bound, not an expectation."""
COMPONENTS = repository() / "deploy" / "kubernetes" / "components"
REPLACED = ("load_definitions", "disk_free_limit")
"""Settings of production's brokers that are about its machines."""
ERLANG_ARGS = "+sbwt none +sbwtdcpu none +sbwtdio none"
FORMATION = "cluster_formation.peer_discovery_backend = classic_config\n"
REPLICA_SET = "warren"
SELECTION = 5_000
"""Milliseconds to reach a member that is asked by itself."""
Hello = dict[str, Any]


def production_broker() -> str:
    """Return what production's nodes have in their configuration beyond RabbitMQ's defaults."""
    (cluster,) = _manifests("rabbitmq-cluster", "rabbitmq.yaml", "RabbitmqCluster")
    lines = cluster["spec"]["rabbitmq"]["additionalConfig"].splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(REPLACED))


def production_replica_set() -> dict[str, Any]:
    """Return the settings of production's replica set."""
    (store,) = _manifests("mongodb-operator", "mongodb.yaml", "MongoDBCommunity")
    settings: dict[str, Any] = store["spec"].get("automationConfig", {}).get("replicaSet", {}).get("settings", {})
    return settings


def production_store_options() -> str:
    """Return the options of production's MongoDB URL, for this replica set."""
    (component,) = _manifests("mongodb-operator", "kustomization.yaml", "Component")
    literals = component["configMapGenerator"][0]["literals"]
    (options,) = (literal.partition("=")[2] for literal in literals if literal.startswith("options="))
    others = [option for option in options.split("&") if not option.startswith("replicaSet=")]
    return "&".join([f"replicaSet={REPLICA_SET}", *others])


def _manifests(component: str, file: str, kind: str) -> list[dict[str, Any]]:
    found = yaml.safe_load_all((COMPONENTS / component / file).read_text())
    return [one for one in found if one["kind"] == kind]


class BrokerNode(Process):
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

    def stop(self) -> None:
        """Stop it in order, and its port mapper after it."""
        super().stop()
        self._epmd.stop()

    def kill(self) -> None:
        """SIGKILL it and its port mapper."""
        super().kill()
        self._epmd.kill()

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
        for file, text in ((definitions, topology.users(self._home)), (cookie, self._cookie)):
            file.unlink(missing_ok=True)
            file.touch(0o600)
            file.write_text(text)
        nodes = enumerate(self._cluster, 1)
        formation = "".join(f"cluster_formation.classic_config.nodes.{n} = rabbit@{name}\n" for n, name in nodes)
        config = CONFIG.format(definitions=definitions) + production_broker() + FORMATION + formation
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


class StoreMember(Process):
    """One member of a replica set."""

    def __init__(self, home: Path, host: Host, name: str) -> None:
        self.host = host
        self.data = home / name
        command = [
            *host.prefix, str(binaries.mongod()), "--bind_ip", f"127.0.0.1,{host.address}", "--nounixsocket",
            "--port", str(MONGODB), "--dbpath", str(self.data), "--replSet", REPLICA_SET,
            "--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "512",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ]  # fmt: skip
        super().__init__(name, command, home=home, log=home / "logs" / f"{name}.log", env=os.environ)

    @property
    def address(self) -> str:
        """What the set knows it by."""
        return f"{self.host.address}:{MONGODB}"

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        super().start()

    def answers(self) -> bool:
        """Whether it is primary or secondary."""
        hello = self.hello()
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))

    def hello(self) -> Hello:
        """Return what it says of itself; nothing if it does not answer."""
        try:
            return self.tell("hello")
        except PyMongoError:
            return {}

    def tell(self, command: str, value: Any = 1, **options: Any) -> Hello:
        """Give this member, and no other, a command. Raises PyMongoError."""
        client: MongoClient[Hello]
        with MongoClient(
            self.host.address, MONGODB, directConnection=True, timeoutMS=SELECTION, serverSelectionTimeoutMS=SELECTION
        ) as client:
            return client.admin.command(command, value, **options)


class Group:
    """Servers that are one to their clients."""

    def __init__(self, name: str, members: Sequence[Process]) -> None:
        self.name = name
        self.log = members[0].log
        """The first one's; the others' lie beside it."""
        self.members = members

    @property
    def running(self) -> bool:
        """Whether all of them live; paused ones do."""
        return all(member.running for member in self.members)

    @property
    def pid(self) -> int | None:
        """None: they are several."""
        return None

    def _at_once(self, act: Callable[[Process], object]) -> None:
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(act, self.members))

    def stop(self) -> None:
        """Stop them in order, at the same time."""
        self._at_once(lambda member: member.stop())

    def kill(self) -> None:
        """SIGKILL them all."""
        self._at_once(lambda member: member.kill())

    def pause(self) -> None:
        """Halt them all."""
        self._at_once(lambda member: member.pause())

    def resume(self) -> None:
        """Let them all go on."""
        self._at_once(lambda member: member.resume())


class BrokerCluster(Group):
    """Nodes of RabbitMQ that know of each other from the start."""

    members: Sequence[BrokerNode]

    def __init__(self, home: Path, hosts: Sequence[Host], programs: RabbitMQPrograms) -> None:
        known = {f"broker-{number}": host.address for number, host in enumerate(hosts, 1)}
        nodes = [BrokerNode(home, host, name, known, programs) for name, host in zip(known, hosts, strict=True)]
        super().__init__("rabbitmq", nodes)
        self.known: Sequence[BrokerNode] = nodes
        """Those that services are told of."""
        self._turns = itertools.count()

    @property
    def url(self) -> str:
        """Where its operator connects."""
        return self.members[0].url_of(topology.ADMINISTRATOR)

    def url_of(self, user: str) -> str:
        """Where one of its users connects: at each call at the next node."""
        return self.known[next(self._turns) % len(self.known)].url_of(user)

    def start(self) -> None:
        """Start all nodes, and return when clients can work on each."""
        self._at_once(lambda node: node.start())
        self._at_once(lambda node: node.wait_ready())


class ReplicaSet(Group):
    """Members of a replica set, made one at the first start."""

    members: Sequence[StoreMember]

    def __init__(self, home: Path, hosts: Sequence[Host]) -> None:
        super().__init__("mongodb", [StoreMember(home, host, f"store-{n}") for n, host in enumerate(hosts, 1)])

    @property
    def url(self) -> str:
        """Where clients connect, with production's options."""
        addresses = ",".join(member.address for member in self.members)
        return f"mongodb://{addresses}/warren?{production_store_options()}"

    def start(self) -> None:
        """Start all members, and return when each is primary or secondary."""
        self._at_once(lambda member: member.start())
        self._at_once(_waits_for_its_set)
        if self.members[0].hello().get("isreplicaset"):
            self._initiate()
        self._at_once(lambda member: member.wait_ready())

    def _initiate(self) -> None:
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        config = {"_id": REPLICA_SET, "members": members, "settings": production_replica_set()}
        self.members[0].tell("replSetInitiate", config)

    def primary(self) -> StoreMember:
        """Return the member that is primary by its own word. Raises LookupError."""
        for member in self.members:
            if member.hello().get("isWritablePrimary"):
                return member
        raise LookupError("no member is primary")


def _waits_for_its_set(member: Process) -> None:
    """Return when it answers at all."""
    assert isinstance(member, StoreMember)
    while not member.hello():
        assert member.running, f"{member.name} ended: {member.log}"


class Cluster(Stack):
    """All of Warren on clusters of both servers; its services are on this machine, which is on their network."""

    rabbitmq: BrokerCluster
    mongodb: ReplicaSet

    def __init__(self, home: Path, base: int, network: Network, programs: RabbitMQPrograms, **options: Any) -> None:
        brokers, members = network.hosts[:NODES], network.hosts[NODES:]
        servers = BrokerCluster(home, brokers, programs), ReplicaSet(home, members)
        super().__init__(home, base, presence=2, servers=servers, **options)
        self._network = network

    @property
    def members(self) -> list[BrokerNode | StoreMember]:
        """Every node and member."""
        return [*self.rabbitmq.members, *self.mongodb.members]

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

    def cut_off(self, member: BrokerNode | StoreMember, *, clients: bool) -> None:
        """Cut a node or member off from the others, and from the services unless its `clients` stay with it."""
        others = [host.address for host in self._network.hosts if host is not member.host]
        member.host.cut(*others, *(() if clients else (self._network.machine,)))


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
