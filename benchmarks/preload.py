"""Rooms and long logs written straight into MongoDB, in the store's own form: what would take hours to be said.

Rooms and members go through the store's own calls. Messages are documents as the store writes them, by several
processes at a time, unordered.
"""

import asyncio
import itertools
import multiprocessing
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pymongo
from warren.contract.events import MemberJoined, Message, RoomCreated
from warren.contract.ids import new_id
from warren.contract.wire import utc_now
from warren_persistence.domain.room import LogEvent
from warren_persistence.log.documents import as_document
from warren_persistence.store import connect

PORTION = 500
"""Events in one insert through the store."""
BATCH = 2_000
"""Messages in one insert beside it."""
WRITERS = 2
"""Processes that insert messages; one keeps about half a mongod busy."""
TEXTS = 500
"""Different texts of 200 characters."""


async def make_rooms(url: str, rooms: Mapping[str, Sequence[str]]) -> None:
    """Make public rooms with these members, the first of each the owner, that persistence has yet to hear of."""
    store = connect(url)
    try:
        entries = [(name, event) for name, users in rooms.items() for event in _beginning(name, users)]
        for start in range(0, len(entries), PORTION):
            portion = entries[start : start + PORTION]
            await store.appender.append([(*entry, 0) for entry in portion])
            await store.project(portion)
        while await store.projector.follow(PORTION):
            pass
    finally:
        store.close()


async def extend_log(url: str, room: str, sender: str, after: int, upto: int) -> None:
    """Add messages to a room that has no message yet: seqs from behind `after` up to `upto`. No service may run.

    The indexes are taken away meanwhile, and made again in one pass: that takes half as long.
    """
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("spawn")) as pool:
        indexes = _drop_indexes(url)
        bounds = [after + (upto - after) * part // WRITERS for part in range(WRITERS + 1)]
        loop = asyncio.get_running_loop()
        parts = [
            loop.run_in_executor(pool, _insert, url, room, sender, after, low, high)
            for low, high in itertools.pairwise(bounds)
        ]
        await asyncio.gather(*parts)
        await asyncio.to_thread(_make_indexes, url, indexes)


def _beginning(room: str, users: Sequence[str]) -> Iterator[LogEvent]:
    owner, *others = users
    yield RoomCreated(**_common(1, owner), kind="public", title=room)
    for seq, user in enumerate(others, 2):
        yield MemberJoined(**_common(seq, user), user=user)


def _common(seq: int, user: str) -> dict[str, Any]:
    return {"seq": seq, "id": new_id(), "sender": user, "name": user, "key": new_id(), "at": utc_now()}


def _drop_indexes(url: str) -> list[pymongo.IndexModel]:
    """Return what was dropped."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        events = client.get_default_database().events
        found = {name: one for name, one in events.index_information().items() if name != "_id_"}
        for name in found:
            events.drop_index(name)
    options = ("unique", "partialFilterExpression")
    return [
        pymongo.IndexModel(one["key"], name=name, **{option: one[option] for option in options if option in one})
        for name, one in found.items()
    ]


def _make_indexes(url: str, indexes: Sequence[pymongo.IndexModel]) -> None:
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        client.get_default_database().events.create_indexes(indexes)


def _insert(url: str, room: str, sender: str, silent: int, after: int, upto: int) -> None:
    """Insert messages; the first `silent` events of the room are none."""
    form = as_document(room, Message(**_common(1, sender), number=1, text="x"), 1)
    texts = [secrets.token_hex(100) for _ in range(TEXTS)]
    concern = pymongo.WriteConcern(w=1, j=False)
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        events = client.get_default_database().get_collection("events", write_concern=concern)
        for start in range(after, upto, BATCH):
            seqs = range(start + 1, min(start + BATCH, upto) + 1)
            # Ids and keys as people's: new_id takes a µs, most of it for its random part.
            events.insert_many(
                [
                    {**form, "seq": seq, "number": seq - silent, "id": new_id(), "key": new_id(), "text": text}
                    for seq, text in zip(seqs, itertools.cycle(texts), strict=False)
                ],
                ordered=False,
            )
