"""MongoDB, reached through motor; written to the calls that PyMongo's async client has too.

Collections: `events` (the room logs), `rooms`, `members` and `people` (what structural events say, projected for
look-ups), `meta` (the epoch). Everything is written and read with majority concern: what a client sees cannot be
rolled back.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import BulkWriteError
from warren.contract.bots import BOT_PREFIX, bot_name
from warren.contract.events import EVENT_TYPES
from warren.ops import mongo
from warren.ops.mongo import long_work, translated

from warren_persistence.domain.facts import Place, Target
from warren_persistence.domain.plan import KeyOf, Stored
from warren_persistence.domain.registry import PROJECTED
from warren_persistence.domain.room import LogEvent, Membership, Room
from warren_persistence.log.documents import all_known, as_document, as_stored
from warren_persistence.log.read import LogReader
from warren_persistence.projections.folding import folded
from warren_persistence.projections.people import known_as
from warren_persistence.projections.projector import Projector

log = logging.getLogger(__name__)

DUPLICATE_KEY = 11_000
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = "\U0010ffff"
"""Sorts after all that follows a prefix."""


def connect(url: str) -> "Store":
    """Return a store; the connection is made on first use."""
    client, database = mongo.connect(url, "warren-persistence")
    return Store(client, database)


class Store:
    """The logs and their projections. Every call may raise StoreUnavailable."""

    def __init__(self, client: Any, database: Any) -> None:
        self._client = client
        self._events = database.events
        self._rooms = database.rooms
        self._members = database.members
        self._people = database.people
        self._meta = database.meta
        self.log = LogReader(database)
        self.projector = Projector(database)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def ping(self) -> None:
        """Return if a primary answers."""
        with translated():
            await self._meta.find_one({"_id": "epoch"})

    async def prove(self) -> None:
        """Return if something of no importance can be written: whatever else fails is then not the server's fault."""
        with translated():
            await self._meta.update_one({"_id": "proof"}, {"$set": {"at": datetime.now(UTC)}}, upsert=True)

    async def prepare(self) -> str:
        """Make the indexes, and return the epoch: the identity of this database, made once.

        With a large log that takes long, once. A server that is away is StoreUnavailable soon; one that goes away
        later is waited for.
        """
        await self.ping()  # with the usual limit: in long work the driver would look for a server as long as that takes
        log.info("indexes looked after")
        with translated(), long_work():
            await self._events.create_index([("room", ASCENDING), ("seq", ASCENDING)], unique=True, name="seq")
            await self._events.create_index(
                [("room", ASCENDING), ("key", ASCENDING), ("sender", ASCENDING)], unique=True, name="key"
            )
            await self._events.create_index(
                [("unsent", ASCENDING)], name="unsent", partialFilterExpression={"unsent": True}
            )
            await self._members.create_index(
                [("_id.user", ASCENDING), ("state", ASCENDING), ("unasked", ASCENDING)], name="user_rooms"
            )
            await self._members.create_index(
                [("_id.room", ASCENDING), ("state", ASCENDING), ("_id.user", ASCENDING)], name="room"
            )
            await self._members.create_index(
                [("_id.room", ASCENDING)], name="owners", partialFilterExpression={"role": "owner"}
            )
            await self._people.create_index([("terms", ASCENDING)], name="terms")
            await self._rooms.create_index([("kind", ASCENDING), ("_id", ASCENDING)], name="directory")
            await self.log.prepare()
            await self.projector.prepare()
            found = await self._meta.find_one_and_update(
                {"_id": "epoch"},
                {"$setOnInsert": {"epoch": secrets.token_hex(8)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return str(found["epoch"])

    async def append(self, events: Sequence[tuple[str, LogEvent, int]]) -> "Conflict | None":
        """Insert (room, event, message count) in order, with majority; stop at the first that conflicts.

        The unique index on (room, seq) is the fence against a writer that was paused and has a successor by now;
        the one on (room, key, sender) keeps keys unique for ever. An unordered insert would leave gaps.
        """
        if not events:
            return None
        try:
            with translated():
                await self._events.insert_many([as_document(*event) for event in events], ordered=True)
        except BulkWriteError as error:
            return _conflict(error, events)
        return None

    async def project(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Bring up to these events what rights depend on; they are in each room's order. May be repeated."""
        structural = [(room, event) for room, event in events if event.type in PROJECTED]
        if structural:
            await self.projector.committed(structural)
            done = [{"room": room, "seq": event.seq} for room, event in structural]
            with translated():
                await self._events.update_many({"$or": done}, {"$unset": {"unprojected": ""}})

    async def load_rooms(self, names: Sequence[str]) -> dict[str, Room]:
        """Return the rooms at their heads (head 0: nothing has happened there), without members.

        The heads first: what is read after them knows all that they count, and whatever it knows beyond them stops the
        next insert. The other way round a removal by the writer before could be counted and not known.
        """
        heads = await self.log.heads(names)
        await self.projector.load(names)
        known, owners, bots = await asyncio.gather(
            self.rooms_by_name(names), self._count_owners(names), self._bots(names)
        )
        rooms = {name: Room(name) for name in names}
        for name, head in heads.items():
            rooms[name].head, rooms[name].number = head.head, head.number
        for name, document in known.items():
            rooms[name].kind, rooms[name].title = document["kind"], document["title"]
            rooms[name].archived = document["archived"]
            rooms[name].owners = owners.get(name, 0)
            rooms[name].bots = frozenset(bots[name])
            rooms[name].pair = pair_of(document)
        return rooms

    async def _count_owners(self, names: Sequence[str]) -> dict[str, int]:
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id.room": {"$in": list(names)}, "role": "owner"}},
            {"$group": {"_id": "$_id.room", "count": {"$sum": 1}}},
        ]
        with translated():
            cursor = self._members.aggregate(pipeline)
            return {document["_id"]: document["count"] async for document in cursor}

    async def _bots(self, names: Sequence[str]) -> defaultdict[str, list[str]]:
        """Return the names of the bots among the members of rooms."""
        query = {"_id.room": {"$in": list(names)}, "state": "member", "_id.user": {"$gte": BOT_PREFIX, "$lt": "bot/"}}
        found: defaultdict[str, list[str]] = defaultdict(list)
        with translated():
            async for document in self._members.find(query, {"_id": 1}):
                if (name := bot_name(document["_id"]["user"])) is not None:
                    found[document["_id"]["room"]].append(name)
        return found

    async def count_rooms(self, users: Iterable[str]) -> dict[str, int]:
        """Return how many rooms each of these people has opened or entered; who has none is missing."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id.user": {"$in": list(users)}, "state": "member", "unasked": None}},
            {"$group": {"_id": "$_id.user", "count": {"$sum": 1}}},
        ]
        with translated():
            cursor = self._members.aggregate(pipeline)
            return {document["_id"]: document["count"] async for document in cursor}

    async def unsent(self, portion: int) -> AsyncIterator[list[tuple[str, LogEvent]]]:
        """Yield all events whose notice has not been published, so many at a time."""
        query = {"unsent": True, "type": {"$in": list(EVENT_TYPES)}}
        cursor = self._events.find(query)
        while True:
            with translated():
                documents = await cursor.to_list(portion)
            if not documents:
                return
            yield all_known(documents)

    async def mark_sent(self, events: Iterable[tuple[str, LogEvent]]) -> None:
        """Take note that the notices of these events have been published."""
        done = [{"room": room, "seq": event.seq} for room, event in events]
        if done:
            with translated():
                await self._events.update_many({"$or": done}, {"$unset": {"unsent": ""}})

    async def rooms_by_name(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the room documents that exist."""
        with translated():
            cursor = self._rooms.find({"_id": {"$in": list(names)}})
            return {document["_id"]: document async for document in cursor}

    async def members(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the membership documents of these (room, user), of whatever state; who has none is missing."""
        ids = [{"room": room, "user": user} for room, user in pairs]
        if not ids:
            return {}
        with translated():
            cursor = self._members.find({"_id": {"$in": ids}})
            return {(found["_id"]["room"], found["_id"]["user"]): found async for found in cursor}

    async def memberships(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Membership]:
        """Return what these (room, user) are to each other; who is nothing may be missing."""
        return {pair: standing_of(found) for pair, found in (await self.members(pairs)).items()}

    async def rooms_of(self, user: str, limit: int) -> list[dict[str, Any]]:
        """Return the documents of a user's memberships: `limit` of the rooms that they opened or entered, and as many
        of the direct rooms that others opened, the newest of those."""
        with translated():
            own = self._members.find({"_id.user": user, "state": "member", "unasked": None})
            found: list[dict[str, Any]] = await own.to_list(limit)
            unasked = {"_id.user": user, "state": "member", "unasked": {"$gt": _EVER}}
            found += await self._members.find(unasked).sort("unasked", DESCENDING).to_list(limit)
        return found

    async def is_member_of(self, user: str, rooms: Sequence[str]) -> bool:
        """Whether somebody is a member of one of the rooms at least."""
        with translated():
            query = {"_id.user": user, "state": "member", "_id.room": {"$in": rooms}}
            return await self._members.find_one(query, {"_id": 1}) is not None

    async def members_of(self, room: str, state: str, after: str, limit: int, now: datetime) -> list[dict[str, Any]]:
        """Return the documents of a room's people in this state by user id, after `after`; ended bans are left out."""
        query: dict[str, Any] = {"_id.room": room, "state": state, "_id.user": {"$gt": after}}
        if state == "banned":
            query["until"] = {"$gt": now}
        with translated():
            cursor = self._members.find(query).sort("_id.user", ASCENDING)
            found: list[dict[str, Any]] = await cursor.to_list(limit)
        return found

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        """Return the names that people last went by; who has never signed in is missing."""
        with translated():
            cursor = self._people.find({"_id": {"$in": list(users)}})
            return {found["_id"]: found["name"] async for found in cursor}

    async def people(self, prefix: str, limit: int) -> dict[str, str]:
        """Return the names, by user id, of people whose id, name or the rest of it from a word on begins so, folded.

        In the order of what they are found by, which is the index's: a short prefix costs no more than it finds.
        """
        wanted = folded(prefix)
        if not wanted:
            return {}
        # Both bounds of one element: two conditions would bound the index by one of them alone.
        within = {"$elemMatch": {"$gte": wanted, "$lt": wanted + _LAST}}
        with translated():
            cursor = self._people.find({"terms": within}).hint("terms").limit(limit)
            return {found["_id"]: found["name"] async for found in cursor}

    async def note_people(self, people: Mapping[str, str], at: datetime) -> None:
        """Take note that these people, by id, went by these names at that moment."""
        if people:
            with translated():
                writes = [known_as(user, name, at) for user, name in people.items()]
                await self._people.bulk_write(writes, ordered=False)

    async def find_keys(self, keys: Iterable[KeyOf]) -> dict[KeyOf, Stored]:
        """Return the events stored under these keys."""
        wanted = set(keys)
        by_sender: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for room, sender, key in wanted:
            by_sender[room, sender].append(key)
        # Each sender's own alone: a key is whatever people choose, and a thousand of one room may have chosen the same.
        ways = [{"room": room, "sender": sender, "key": {"$in": found}} for (room, sender), found in by_sender.items()]
        if not ways:
            return {}
        with translated():
            documents = await self._events.find({"$or": ways}).hint("key").to_list(None)
        return {(one["room"], one["sender"], one["key"]): as_stored(one) for one in documents}

    async def targets(self, places: Iterable[Place]) -> dict[Place, Target]:
        """Return what stands at these places of the logs; nothing is missing."""
        found = {place: {"room": place[0], "seq": place[1]} for place in places}
        if not found:
            return {}
        with translated():
            fields = {"_id": 0, "room": 1, "seq": 1, "type": 1, "sender": 1, "at": 1, "erased": 1}
            documents = await self._events.find({"$or": list(found.values())}, fields).to_list(None)
        return {
            (one["room"], one["seq"]): Target(one["type"], one["sender"], one["at"], one.get("erased", False))
            for one in documents
        }

    async def public_rooms(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return public rooms in use by id, those that sort after `after`."""
        query = {"kind": "public", "archived": False, "_id": {"$gt": after}}
        with translated():
            cursor = self._rooms.find(query).sort("_id", ASCENDING)
            found: list[dict[str, Any]] = await cursor.to_list(limit)
        return found


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stopped an insert: another event has this key, or this seq. Those before `index` are stored."""

    kind: Literal["key", "seq"]
    room: str
    index: int


def standing_of(document: dict[str, Any]) -> Membership:
    """Return what a membership document says."""
    fields = ("role", "until", "muted", "unasked", "hidden")
    return Membership(document.get("state", "none"), *map(document.get, fields))


def pair_of(room: dict[str, Any]) -> tuple[str, str] | None:
    """Return the two people of a direct room, given its document."""
    if "pair" not in room:
        return None
    one, other = room["pair"]
    return (one, other)


def _conflict(error: BulkWriteError, events: Sequence[tuple[str, LogEvent, int]]) -> Conflict:
    failure = error.details["writeErrors"][0]  # without any it is StoreUnavailable
    if failure["code"] != DUPLICATE_KEY:
        raise error
    kind: Literal["key", "seq"] = "seq" if "seq" in failure["keyPattern"] else "key"
    return Conflict(kind, events[failure["index"]][0], failure["index"])
