"""Answers `warren.queries`: reads scale by replicas, and each is judged by who asks."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pydantic import BaseModel, ValidationError
from warren.broker.consumer import consume, open_channel
from warren.broker.errors import Unavailable, translated
from warren.broker.publisher import Publisher
from warren.contract import queries as q
from warren.contract.codes import Code
from warren.contract.topology import QUERIES

from warren_persistence import metrics
from warren_persistence.store import Store, StoreUnavailable

log = logging.getLogger(__name__)

PREFETCH = 32
"""Queries in work at once."""
RANGE_CHARACTERS = 200_000
"""Characters of text in one answer to EventRange, about; a client frame is made of it."""
MY_ROOMS = 1_000
"""The most rooms in the answer to MyRooms."""


class Reader:
    """Takes queries from the shared queue and answers each to its `reply_to`."""

    def __init__(self, store: Store, publisher: Publisher, epoch: str) -> None:
        self._store = store
        self._publisher = publisher
        self._epoch = epoch
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[type[BaseModel], Callable[[Any], Awaitable[BaseModel]]] = {
            q.RoomAccess: self._access,
            q.EventRange: self._range,
            q.History: self._history,
            q.MyRooms: self._my_rooms,
            q.Directory: self._directory,
            q.Heads: self._heads,
        }

    async def serve(self, connection: AbstractConnection) -> None:
        """Answer on this connection until it goes away."""
        channel = await open_channel(connection, PREFETCH)
        underlay = await channel.get_underlay_channel()

        def sink(message: DeliveredMessage) -> None:
            task = asyncio.create_task(self._handle(underlay, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await consume(channel, QUERIES, sink)
        await channel.closed()

    async def _handle(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        properties = message.header.properties
        try:
            answer = await self._answer(message.body)
            if properties.reply_to:
                body = answer.model_dump_json().encode()
                await self._publisher.publish(
                    "", properties.reply_to, body, correlation_id=properties.correlation_id, message_type="answer"
                )
        except Unavailable as error:
            log.warning("answer not sent", extra={"error": str(error)})
        finally:
            # Also when it failed: who asked has given up or asks again, so a query is worth one try.
            if message.delivery_tag is not None and not channel.is_closed:
                with contextlib.suppress(Unavailable), translated():
                    await channel.basic_ack(message.delivery_tag, wait=False)

    async def _answer(self, body: bytes) -> BaseModel:
        kind = "unknown"
        try:
            query = q.QUERY.validate_json(body)
            kind = query.type
            answer = await self._handlers[type(query)](query)
        except ValidationError as error:
            answer = q.Denied(code=Code.INVALID, detail=str(error.errors(include_url=False, include_input=False)))
        except StoreUnavailable:
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the store does not answer at the moment")
        except Exception:
            log.exception("query failed")
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the query failed")
        outcome = answer.code if isinstance(answer, q.Denied) else "ok"
        metrics.QUERIES.labels(kind, outcome).inc()
        return answer

    async def _access(self, query: q.RoomAccess) -> BaseModel:
        rooms, members, heads = await asyncio.gather(
            self._store.rooms_by_name([query.room]),
            self._store.members([(query.room, query.user)]),
            self._store.heads([query.room]),
        )
        room, member = rooms.get(query.room), members.get((query.room, query.user))
        head = heads.get(query.room)
        if room is None or head is None or (room["kind"] != "public" and member is None):
            return q.Denied(code=Code.NOT_FOUND, detail="no such room")
        return q.Access(
            epoch=self._epoch,
            kind=room["kind"],
            title=room["title"],
            head=head.head,
            number=head.number,
            read=member["read"] if member else 0,
            member=member is not None,
        )

    async def _range(self, query: q.EventRange) -> BaseModel:
        # The head first: events stored in between only make the answer reach further.
        heads = await self._store.heads([query.room])
        events = await self._store.range(query.room, query.after, query.limit)
        head = heads[query.room].head if query.room in heads else 0
        head = max([head, *(event["seq"] for event in events[-1:])])
        return q.Range(epoch=self._epoch, events=_within(events, RANGE_CHARACTERS), head=head)

    async def _history(self, query: q.History) -> BaseModel:
        access = await self._access(q.RoomAccess(room=query.room, user=query.user))
        if isinstance(access, q.Denied):
            return access
        found = await self._store.messages(query.room, query.before, query.after, query.limit + 1)
        more = len(found) > query.limit
        page = found[: query.limit] if query.after is not None else found[-query.limit :]
        return q.Page(messages=page, more=more)

    async def _my_rooms(self, query: q.MyRooms) -> BaseModel:
        memberships = await self._store.memberships(query.user, MY_ROOMS)
        names = [found["_id"]["room"] for found in memberships]
        rooms, heads = await asyncio.gather(self._store.rooms_by_name(names), self._store.heads(names))
        summaries = []
        for found in memberships:
            name, read = found["_id"]["room"], found["read"]
            if name in rooms and name in heads:
                summaries.append(_summary(rooms[name], heads[name], read))
        return q.RoomList(rooms=sorted(summaries, key=lambda summary: summary.room))

    async def _directory(self, query: q.Directory) -> BaseModel:
        found = await self._store.public_rooms(query.after, query.limit + 1)
        entries = [q.DirectoryEntry(room=room["_id"], title=room["title"]) for room in found[: query.limit]]
        return q.DirectoryPage(rooms=entries, more=len(found) > query.limit)

    async def _heads(self, query: q.Heads) -> BaseModel:
        return q.HeadsAnswer(epoch=self._epoch, heads=await self._store.heads(query.rooms))


def _within(events: list[q.StoredEvent], limit: int) -> list[q.StoredEvent]:
    """Return the events up to `limit` characters of text, and one at least."""
    total = 0
    for index, event in enumerate(events):
        total += len(event.get("text", ""))
        if total > limit:
            return events[: max(index, 1)]
    return events


def _summary(room: dict[str, Any], head: q.Head, read: int) -> q.RoomSummary:
    return q.RoomSummary(
        room=room["_id"],
        kind=room["kind"],
        title=room["title"],
        head=head.head,
        number=head.number,
        read=read,
        unread=head.number - read,
    )
