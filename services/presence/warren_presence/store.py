"""MongoDB, reached through motor: the collection `last_seen`, `{_id: user, at}`, and nothing else."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from warren.ops import mongo
from warren.ops.mongo import translated


def connect(url: str) -> "Store":
    """Return a store; the connection is made on first use."""
    client, database = mongo.connect(url, "warren-presence")
    return Store(client, database)


class Store:
    """When people were last connected. Every call may raise StoreUnavailable."""

    def __init__(self, client: Any, database: Any) -> None:
        self._client = client
        self._last_seen = database.last_seen

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def record(self, seen: Mapping[str, datetime]) -> None:
        """Write when these were last seen, in one go; a later moment that is there already stays."""
        updates = [UpdateOne({"_id": user}, {"$max": {"at": at}}, upsert=True) for user, at in seen.items()]
        with translated():
            await self._last_seen.bulk_write(updates, ordered=False)

    async def find(self, users: Iterable[str]) -> dict[str, datetime]:
        """Return when these were last seen, as far as that is known."""
        with translated():
            found = await self._last_seen.find({"_id": {"$in": list(users)}}).to_list(None)
        return {document["_id"]: document["at"] for document in found}
