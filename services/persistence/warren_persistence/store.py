"""MongoDB, reached through motor; written to the calls that PyMongo's async client has too.

Collections: `events` (the room logs), `rooms`, `members` and `people` (what structural events say, projected for
look-ups), `checkpoints` (how far each projection is), `meta` (the epoch). Everything is written and read with majority
concern: what a client sees cannot be rolled back.
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument
from warren.ops import mongo
from warren.ops.mongo import long_work, translated

from warren_persistence.domain.registry import PROJECTED
from warren_persistence.domain.room import LogEvent, Room
from warren_persistence.log.append import LogAppender
from warren_persistence.log.outbox import Outbox
from warren_persistence.log.read import LogReader
from warren_persistence.projections.people import People
from warren_persistence.projections.projector import Projector
from warren_persistence.projections.rooms import Rooms

log = logging.getLogger(__name__)


def connect(url: str) -> "Store":
    """Return a store; the connection is made on first use."""
    client, database = mongo.connect(url, "warren-persistence")
    return Store(client, database)


class Store:
    """The logs and their projections, each with calls of its own. Every call may raise StoreUnavailable."""

    def __init__(self, client: Any, database: Any) -> None:
        self._client = client
        self.database = database
        self.log = LogReader(database)
        self.appender = LogAppender(database)
        self.outbox = Outbox(database)
        self.rooms = Rooms(database)
        self.people = People(database)
        self.projector = Projector(database)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def ping(self) -> None:
        """Return if a primary answers."""
        with translated():
            await self.database.meta.find_one({"_id": "epoch"})

    async def prove(self) -> None:
        """Return if something of no importance can be written: whatever else fails is then not the server's fault."""
        with translated():
            await self.database.meta.update_one({"_id": "proof"}, {"$set": {"at": datetime.now(UTC)}}, upsert=True)

    async def prepare(self) -> str:
        """Make the indexes, and return the epoch: the identity of this database, made once.

        With a large log that takes long, once. A server that is away is StoreUnavailable soon; one that goes away
        later is waited for.
        """
        await self.ping()  # with the usual limit: in long work the driver would look for a server as long as that takes
        log.info("indexes checked")
        with translated(), long_work():
            for part in (self.log, self.appender, self.outbox, self.rooms, self.people, self.projector):
                await part.prepare()
            found = await self.database.meta.find_one_and_update(
                {"_id": "epoch"},
                {"$setOnInsert": {"epoch": secrets.token_hex(8)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return str(found["epoch"])

    async def load_rooms(self, names: Sequence[str]) -> dict[str, Room]:
        """Return the rooms at their heads (head 0: nothing has happened there), without members.

        The heads first: what is read after them knows all that they count, and whatever it knows beyond them stops the
        next insert. The other way round a removal by the writer before could be counted and not known.
        """
        heads = await self.log.heads(names)
        await self.projector.load(names)
        rooms = await self.rooms.load(names)
        for name, head in heads.items():
            rooms[name].head, rooms[name].number = head.head, head.number
        return rooms

    async def project(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Bring up to these events what access depends on; they are in each room's order. May be repeated."""
        structural = [(room, event) for room, event in events if event.type in PROJECTED]
        if structural:
            await self.projector.committed(structural)
            await self.outbox.unmark(structural)
