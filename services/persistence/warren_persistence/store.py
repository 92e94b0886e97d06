"""MongoDB, reached through motor; written to the calls that PyMongo's async client has too.

Collections: `events` (the room logs), `rooms` and `members` (what structural events say, projected for look-ups),
`meta` (the epoch). Everything is written and read with majority concern: what a client sees cannot be rolled back.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ASCENDING, DESCENDING, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, ExecutionTimeout, PyMongoError, WriteConcernError
from warren.contract.events import EVENT, MemberJoined, RoomCreated
from warren.contract.queries import Head, StoredEvent
from warren.contract.wire import rfc3339

from warren_persistence.domain.plan import KeyOf, Stored
from warren_persistence.domain.room import LogEvent, Room

DUPLICATE_KEY = 11_000
OPERATION_TIMEOUT = 10_000
"""Milliseconds for one operation, server selection and the driver's own retry included."""
SELECTION_TIMEOUT = 2_000
"""Milliseconds to find a primary or to connect; the callers retry."""


class StoreUnavailable(Exception):
    """MongoDB did not answer, or has no primary. A write may or may not have been done."""


def connect(url: str) -> "Store":
    """Return a store; the connection is made on first use."""
    client: Any = AsyncIOMotorClient(
        url,
        tz_aware=True,
        w="majority",
        readConcernLevel="majority",
        timeoutMS=OPERATION_TIMEOUT,
        serverSelectionTimeoutMS=SELECTION_TIMEOUT,
        connectTimeoutMS=SELECTION_TIMEOUT,
        appname="warren-persistence",
    )
    return Store(client, client.get_default_database("warren"))


class Store:
    """The logs and their projections. Every call may raise StoreUnavailable."""

    def __init__(self, client: Any, database: Any) -> None:
        self._client = client
        self._events = database.events
        self._rooms = database.rooms
        self._members = database.members
        self._meta = database.meta

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def ping(self) -> None:
        """Return if a primary answers."""
        with _translated():
            await self._meta.find_one({"_id": "epoch"})

    async def prepare(self) -> str:
        """Make the indexes, and return the epoch: the identity of this database, made once."""
        with _translated():
            await self._events.create_index([("room", ASCENDING), ("seq", ASCENDING)], unique=True, name="seq")
            await self._events.create_index(
                [("room", ASCENDING), ("key", ASCENDING), ("sender", ASCENDING)], unique=True, name="key"
            )
            await self._events.create_index(
                [("unprojected", ASCENDING), ("room", ASCENDING)],
                name="unprojected",
                partialFilterExpression={"unprojected": True},
            )
            await self._members.create_index([("_id.user", ASCENDING)], name="user")
            await self._rooms.create_index([("kind", ASCENDING), ("_id", ASCENDING)], name="directory")
            document = await self._meta.find_one_and_update(
                {"_id": "epoch"},
                {"$setOnInsert": {"epoch": secrets.token_hex(8)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return str(document["epoch"])

    async def append(self, events: Sequence[tuple[str, LogEvent, int]]) -> "Conflict | None":
        """Insert (room, event, message count) in order, with majority; stop at the first that conflicts.

        The unique index on (room, seq) is the fence against a writer that was paused and has a successor by now;
        the one on (room, key, sender) keeps keys unique for ever. An unordered insert would leave gaps.
        """
        if not events:
            return None
        try:
            with _translated():
                await self._events.insert_many([_document(*event) for event in events], ordered=True)
        except BulkWriteError as error:
            return _conflict(error, events)
        return None

    async def project(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Bring `rooms` and `members` up to these events; may be repeated, by any replica, in any order."""
        structural = [(room, event) for room, event in events if isinstance(event, RoomCreated | MemberJoined)]
        if not structural:
            return
        rooms = [_room_update(room, event) for room, event in structural if isinstance(event, RoomCreated)]
        members = [_member_update(room, event) for room, event in structural]
        done = [{"room": room, "seq": event.seq} for room, event in structural]
        with _translated():
            if rooms:
                await self._rooms.bulk_write(rooms, ordered=False)
            await self._members.bulk_write(members, ordered=False)
            await self._events.update_many({"$or": done}, {"$unset": {"unprojected": ""}})

    async def load_rooms(self, names: Sequence[str]) -> dict[str, Room]:
        """Return the rooms at their heads (head 0: does not exist), without members.

        First what a writer that died left unprojected is projected, so that the projections say what the log says.
        """
        with _translated():
            found = self._events.find({"unprojected": True, "room": {"$in": list(names)}})
            left = [(document["room"], EVENT.validate_python(document)) async for document in found]
        await self.project(left)
        heads, known = await asyncio.gather(self.heads(names), self.rooms_by_name(names))
        rooms = {name: Room(name) for name in names}
        for name, head in heads.items():
            rooms[name].head, rooms[name].number = head.head, head.number
        for name, document in known.items():
            rooms[name].kind, rooms[name].title = document["kind"], document["title"]
        return rooms

    async def rooms_by_name(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the room documents that exist."""
        with _translated():
            cursor = self._rooms.find({"_id": {"$in": list(names)}})
            return {document["_id"]: document async for document in cursor}

    async def heads(self, names: Sequence[str]) -> dict[str, Head]:
        """Return where the logs end, of the rooms that have one."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"room": {"$in": list(names)}}},
            # Descending in both, so that the index `seq` is walked backwards, one step a room (DISTINCT_SCAN).
            {"$sort": {"room": DESCENDING, "seq": DESCENDING}},
            {"$group": {"_id": "$room", "head": {"$first": "$seq"}, "number": {"$first": "$number"}}},
        ]
        with _translated():
            cursor = self._events.aggregate(pipeline)
            return {document["_id"]: Head.model_validate(document) async for document in cursor}

    async def members(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the membership documents of those (room, user) that are members."""
        ids = [{"room": room, "user": user} for room, user in pairs]
        if not ids:
            return {}
        with _translated():
            cursor = self._members.find({"_id": {"$in": ids}})
            return {(found["_id"]["room"], found["_id"]["user"]): found async for found in cursor}

    async def memberships(self, user: str, limit: int) -> list[dict[str, Any]]:
        """Return the membership documents of a user, at most `limit`."""
        with _translated():
            found: list[dict[str, Any]] = await self._members.find({"_id.user": user}).to_list(limit)
        return found

    async def find_keys(self, keys: Iterable[KeyOf]) -> dict[KeyOf, Stored]:
        """Return the events stored under these keys."""
        wanted = set(keys)
        query = {
            "room": {"$in": list({room for room, _, _ in wanted})},
            "key": {"$in": list({key for _, _, key in wanted})},
            "sender": {"$in": list({sender for _, sender, _ in wanted})},
        }
        found: dict[KeyOf, Stored] = {}
        with _translated():
            async for document in self._events.find(query):
                key = (document["room"], document["sender"], document["key"])
                if key in wanted:
                    event = EVENT.validate_python(document)
                    found[key] = Stored(event.seq, document["number"], event)
        return found

    async def range(self, room: str, after: int, limit: int) -> list[StoredEvent]:
        """Return the events of the room after seq `after`, oldest first."""
        with _translated():
            cursor = self._events.find({"room": room, "seq": {"$gt": after}}).sort("seq", ASCENDING)
            return [as_wire(document) for document in await cursor.to_list(limit)]

    async def messages(self, room: str, before: int | None, after: int | None, limit: int) -> list[StoredEvent]:
        """Return up to `limit` messages, oldest first: the last before a seq, or the first after one."""
        seqs: dict[str, int] = {}
        if before is not None:
            seqs["$lt"] = before
        if after is not None:
            seqs["$gt"] = after
        direction = DESCENDING if after is None else ASCENDING
        query = {"room": room, "type": "message", **({"seq": seqs} if seqs else {})}
        with _translated():
            found = await self._events.find(query).sort("seq", direction).to_list(limit)
        return sorted((as_wire(document) for document in found), key=lambda event: int(event["seq"]))

    async def public_rooms(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return public rooms by id, those that sort after `after`."""
        with _translated():
            cursor = self._rooms.find({"kind": "public", "_id": {"$gt": after}}).sort("_id", ASCENDING)
            found: list[dict[str, Any]] = await cursor.to_list(limit)
        return found


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stopped an insert: another event has this key, or this seq. Those before `index` are stored."""

    kind: Literal["key", "seq"]
    room: str


def as_wire(document: dict[str, Any]) -> StoredEvent:
    """Return a stored event as clients see it; fields that only a newer replica knows pass through."""
    event = {name: value for name, value in document.items() if name not in {"_id", "room", "unprojected"}}
    if event["type"] != "message":
        del event["number"]
    event["at"] = rfc3339(event["at"])
    return {name: value for name, value in event.items() if value is not None}


def _document(room: str, event: LogEvent, number: int) -> dict[str, Any]:
    document = {"room": room, **event.model_dump(exclude_none=True), "number": number}
    if isinstance(event, RoomCreated | MemberJoined):
        document["unprojected"] = True
    return document


def _room_update(room: str, event: RoomCreated) -> UpdateOne:
    fields = {"kind": event.kind, "title": event.title, "creator": event.sender, "created": event.at}
    return UpdateOne({"_id": room}, {"$setOnInsert": fields}, upsert=True)


def _member_update(room: str, event: RoomCreated | MemberJoined) -> UpdateOne:
    user = event.sender if isinstance(event, RoomCreated) else event.user
    return UpdateOne(
        {"_id": {"room": room, "user": user}}, {"$setOnInsert": {"seq": event.seq, "read": 0}}, upsert=True
    )


def _conflict(error: BulkWriteError, events: Sequence[tuple[str, LogEvent, int]]) -> Conflict:
    failures = error.details["writeErrors"]
    if not failures:  # stored on the primary, but not by a majority in time
        raise StoreUnavailable(str(error)) from error
    failure = failures[0]
    if failure["code"] != DUPLICATE_KEY:
        raise error
    kind: Literal["key", "seq"] = "seq" if "seq" in failure["keyPattern"] else "key"
    return Conflict(kind, events[failure["index"]][0])


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what a lost or electing MongoDB looks like into StoreUnavailable; a mistake of ours stays what it is."""
    try:
        yield
    except PyMongoError as error:
        lost = isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError)
        if lost or error.timeout:
            raise StoreUnavailable(repr(error)) from error
        raise
