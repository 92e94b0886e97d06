"""A MongoDB server of one's own: a replica set of one member, since majority writes and sessions need a set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from . import binaries
from .ports import HOST, accepts, require_free
from .process import Process

REPLICA_SET = "warren"


def arguments(port: int, *, alone: bool = True) -> list[str]:
    """What mongod is told wherever it runs; small memory, since the services share the machine.

    `alone`: a set of one has nobody to hand over to, so an orderly stop need not wait for clients to move.
    """
    own = ["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"] if alone else []
    return [
        *own,
        "--port", str(port),
        "--replSet", REPLICA_SET,
        "--wiredTigerCacheSizeGB", "0.5",
        "--oplogSize", "512",
        "--setParameter", "diagnosticDataCollectionEnabled=false",
    ]  # fmt: skip


def url(port: int) -> str:
    """Where clients connect; the path names Warren's database."""
    return f"mongodb://{HOST}:{port}/warren?replicaSet={REPLICA_SET}"


def is_primary(port: int) -> bool:
    """Whether the server takes majority writes; makes it a set of one if it is none yet."""
    if not accepts(port):
        return False
    client: MongoClient[dict[str, Any]]
    with MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=1000) as client:
        try:
            hello = client.admin.command("hello")
            if hello.get("isreplicaset"):  # started as a member, not yet told of which set
                members = [{"_id": 0, "host": f"{HOST}:{port}"}]
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except PyMongoError:
            return False
        return bool(hello.get("isWritablePrimary"))


class MongoDB(Process):
    """A mongod with its own data."""

    def __init__(self, home: Path, port: int, options: Sequence[str] = ()) -> None:
        self.port = port
        self._options = options
        self.data = home / f"mongodb-{port}"
        log = home / "logs" / f"mongodb-{port}.log"
        super().__init__(f"mongodb-{port}", [], home=home, log=log, env=os.environ)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return url(self.port)

    def start(self) -> None:
        """Start it and return when it takes writes; data of an earlier run is kept."""
        self.command = [
            str(binaries.mongod()), "--bind_ip", HOST, "--nounixsocket",
            "--dbpath", str(self.data), *arguments(self.port), *self._options,
        ]  # fmt: skip
        if not self.running:
            require_free(self.port, "MongoDB")
        self.data.mkdir(parents=True, exist_ok=True)
        super().start()
        self.wait_ready()

    def answers(self) -> bool:
        """Whether it is a primary that takes writes."""
        return is_primary(self.port)
