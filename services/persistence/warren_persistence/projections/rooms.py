"""Reads `rooms` and `members`: what rooms are, and who is what to them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from warren.contract.bots import BOT_PREFIX, bot_name
from warren.ops.mongo import translated

from warren_persistence.domain.room import Membership, Room

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Rooms:
    """Rooms and memberships, as the projection `access` has them. Every call may raise StoreUnavailable."""

    def __init__(self, database: Any) -> None:
        self._rooms = database.rooms
        self._members = database.members

    async def prepare(self) -> None:
        """Make the indexes."""
        await self._members.create_index(
            [("_id.user", ASCENDING), ("state", ASCENDING), ("unasked", ASCENDING)], name="user_rooms"
        )
        await self._members.create_index(
            [("_id.room", ASCENDING), ("state", ASCENDING), ("_id.user", ASCENDING)], name="room"
        )
        await self._members.create_index(
            [("_id.room", ASCENDING)], name="owners", partialFilterExpression={"role": "owner"}
        )
        await self._rooms.create_index([("kind", ASCENDING), ("_id", ASCENDING)], name="directory")

    async def load(self, names: Sequence[str]) -> dict[str, Room]:
        """Return these rooms without heads and members; of one that does not exist, what it would be."""
        known, owners, bots = await asyncio.gather(self.by_name(names), self._count_owners(names), self._bots(names))
        rooms = {name: Room(name) for name in names}
        for name, document in known.items():
            rooms[name].kind, rooms[name].title = document["kind"], document["title"]
            rooms[name].archived = document["archived"]
            rooms[name].owners = owners.get(name, 0)
            rooms[name].bots = frozenset(bots[name])
            rooms[name].pair = pair_of(document)
        return rooms

    async def by_name(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the room documents that exist."""
        with translated():
            cursor = self._rooms.find({"_id": {"$in": list(names)}})
            return {document["_id"]: document async for document in cursor}

    async def public(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Return public rooms in use by id, those that sort after `after`."""
        query = {"kind": "public", "archived": False, "_id": {"$gt": after}}
        with translated():
            cursor = self._rooms.find(query).sort("_id", ASCENDING)
            found: list[dict[str, Any]] = await cursor.to_list(limit)
        return found

    async def rooms_of(self, user: str, limit: int) -> list[dict[str, Any]]:
        """Return the documents of a user's memberships: `limit` of the rooms that they opened or entered, and as many
        of the direct rooms that others opened, the newest of those."""
        with translated():
            own = self._members.find({"_id.user": user, "state": "member", "unasked": None})
            found: list[dict[str, Any]] = await own.to_list(limit)
            unasked = {"_id.user": user, "state": "member", "unasked": {"$gt": _EVER}}
            found += await self._members.find(unasked).sort("unasked", DESCENDING).to_list(limit)
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
        return {pair: membership_of(found) for pair, found in (await self.members(pairs)).items()}

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


def membership_of(document: dict[str, Any]) -> Membership:
    """Return what a membership document says."""
    fields = ("role", "until", "muted", "unasked", "hidden")
    return Membership(document.get("state", "none"), *map(document.get, fields))


def pair_of(room: dict[str, Any]) -> tuple[str, str] | None:
    """Return the two people of a direct room, given its document."""
    if "pair" not in room:
        return None
    one, other = room["pair"]
    return (one, other)
