"""A MongoDB replica set of three members as real processes, where other tests have a set of one."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from warren_local.binaries import mongod
from warren_local.mongodb import REPLICA_SET, arguments
from warren_local.ports import HOST
from warren_local.process import Process

from harness.members import Members

MEMBERS = 3
SETTINGS = {"electionTimeoutMillis": 4_000, "catchUpTimeoutMillis": 500}
PARAMETERS = {"oplogNetworkTimeoutBufferSeconds": 1, "oplogFetcherSteadyStateMaxFetcherRestarts": 0}
"""Those of the set and of each member, as in deploy/kubernetes; docs/cluster.md says why."""
ASK_WITHIN = 1_000
"""Milliseconds for a member to answer what is asked of it alone."""
STEP_DOWN_FOR = 10
"""Seconds in which a member that handed over does not stand for election."""
WITHIN = 60.0
"""Seconds for a member to become primary; a bound, not an expectation."""
POLL = 0.05
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member listens, and what goes before its command, for one that is to run on a host of its own."""

    address: str
    port: int
    prefix: Sequence[str] = ()


class Member(Process):
    """One of the members, whatever it is at the moment."""

    def __init__(self, home: Path, place: Place, parameters: Mapping[str, int] = PARAMETERS) -> None:
        self.place = place
        name = f"mongodb-{place.address}-{place.port}"
        self.data = home / name
        command = [
            *place.prefix, str(mongod()), "--bind_ip", place.address, "--nounixsocket", "--dbpath", str(self.data),
            *arguments(place.port, alone=False),
            *(f"--setParameter={name}={value}" for name, value in parameters.items()),
        ]  # fmt: skip
        super().__init__(name, command, home=home, log=home / "logs" / f"{name}.log", env=os.environ)

    @property
    def host(self) -> str:
        """Where it is, as the others and clients name it."""
        return f"{self.place.address}:{self.place.port}"

    def start(self) -> None:
        """Start it and return when it answers; data of an earlier run is kept."""
        self.data.mkdir(parents=True, exist_ok=True)
        super().start()
        self.wait_ready()

    def answers(self) -> bool:
        """Whether it answers at all; who is primary is a matter of the set."""
        return bool(self.hello())

    def leads(self) -> bool:
        """Whether it is the primary and takes writes."""
        return bool(self.hello().get("isWritablePrimary"))

    def is_in_step(self) -> bool:
        """Whether it is the primary, or follows it."""
        hello = self.hello()
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))

    def step_down(self) -> None:
        """Have it hand over to another member, as an orderly restart does."""
        with self.asked() as client:
            client.admin.command("replSetStepDown", STEP_DOWN_FOR)

    def hello(self) -> dict[str, Any]:
        """Return what it says of itself, nothing if it does not answer."""
        try:
            with self.asked() as client:
                return client.admin.command("hello")
        except PyMongoError:
            return {}

    @contextmanager
    def asked(self) -> Iterator["MongoClient[dict[str, Any]]"]:
        """Return a client of this member alone."""
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.place.address, self.place.port, directConnection=True, serverSelectionTimeoutMS=ASK_WITHIN,
            connectTimeoutMS=ASK_WITHIN,
        )  # fmt: skip
        with client:
            yield client


class ReplicaSet(Members[Member]):
    """Three members.

    `settings`: those of the set, and `parameters` those of each member, beside MongoDB's own defaults.
    """

    def __init__(
        self, home: Path, places: Sequence[Place],
        settings: Mapping[str, int] = SETTINGS, parameters: Mapping[str, int] = PARAMETERS,
    ) -> None:  # fmt: skip
        super().__init__("mongodb", [Member(home, place, parameters) for place in places])
        self._settings = settings

    @property
    def url(self) -> str:
        """Where clients connect: all members are named."""
        hosts = ",".join(member.host for member in self.members)
        return f"mongodb://{hosts}/warren?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start all members that do not run, and return when all follow one primary and copy what it writes."""
        self.start_processes()
        self._initiate()
        self.wait_in_step()

    def primary(self) -> Member:
        """Return the member that takes writes, once there is one."""
        found: list[Member] = []

        def is_found() -> bool:
            found[:] = [member for member in self.members if member.leads()]
            return bool(found)

        _until(is_found, "no member became primary")
        return found[0]

    def secondaries(self) -> list[Member]:
        """Return the other members."""
        primary = self.primary()
        return [member for member in self.members if member is not primary]

    def wait_in_step(self) -> None:
        """Return when there is a primary, and all others follow it and copy what it writes.

        A member that is about to choose whom to copy from waits for 30 seconds for a primary that is halted then, in
        which the other two have no majority; MongoDB has no setting for that.
        """
        self.primary()
        _until(lambda: all(member.is_in_step() for member in self.members), "a member does not follow")
        _until(self._all_copy, "a member copies nothing")

    def _all_copy(self) -> bool:
        concern = {"w": len(self.members), "wtimeout": ASK_WITHIN}
        try:
            with self.primary().asked() as client:
                client.admin.command("appendOplogNote", data={"for": "all members"}, writeConcern=concern)
        except PyMongoError:
            return False
        return True

    def _initiate(self) -> None:
        members = [{"_id": number, "host": member.host} for number, member in enumerate(self.members)]
        with self.members[0].asked() as client:
            if client.admin.command("hello").get("isreplicaset"):  # else it knows its set from an earlier run
                config = {"_id": REPLICA_SET, "members": members, "settings": self._settings}
                client.admin.command("replSetInitiate", config)


def members_here(port: int) -> list[Place]:
    """Return places on this machine: `port` and those after it."""
    return [Place(HOST, port + number) for number in range(MEMBERS)]


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(POLL)
