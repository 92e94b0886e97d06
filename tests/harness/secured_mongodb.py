"""A MongoDB with access control and Warren's users, as deploy/mongodb makes one."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure
from warren_local.home import repository
from warren_local.mongodb import REPLICA_SET, MongoDB
from warren_local.ports import HOST

RIGHTS: dict[str, Any] = json.loads((repository() / "deploy" / "mongodb" / "rights.json").read_text())
PASSWORD = "only-for-tests"


class SecuredMongoDB(MongoDB):
    """A set of one that knows an operator and the users of rights.json; `url` is the operator's."""

    def __init__(self, home: Path, port: int) -> None:
        self._key = home / "mongodb.key"
        super().__init__(home, port, ["--keyFile", str(self._key)])

    @property
    def url(self) -> str:
        """Where its operator connects."""
        return self.url_of("operator") + "&authSource=admin"

    def url_of(self, user: str) -> str:
        """Where one of its users connects."""
        return super().url.replace("//", f"//{user}:{PASSWORD}@")

    def start(self) -> None:
        """Start it and return when it takes writes and knows its users."""
        self._key.parent.mkdir(parents=True, exist_ok=True)
        self._key.touch(0o600)
        self._key.write_text(base64.b64encode(secrets.token_bytes(96)).decode())
        super().start()
        first: MongoClient[dict[str, Any]]
        with MongoClient(HOST, self.port, directConnection=True) as first:
            try:
                first.admin.command("createUser", "operator", pwd=PASSWORD, roles=["root"])
            except OperationFailure:
                return  # not the first start
        self._grant()

    def _grant(self) -> None:
        operator: MongoClient[dict[str, Any]]
        with MongoClient(self.url, replicaSet=REPLICA_SET) as operator:
            warren: Database[dict[str, Any]] = operator.get_database(RIGHTS["database"])
            for role in RIGHTS["roles"]:
                warren.command("createRole", role["role"], privileges=role["privileges"], roles=role["roles"])
            for user in RIGHTS["users"]:
                warren.command("createUser", user["user"], pwd=PASSWORD, roles=user["roles"])
