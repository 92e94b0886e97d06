"""Answers `warren.queries` and `warren.bots.queries`: reads scale by replicas, and each is judged by who asks."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pydantic import BaseModel, ValidationError
from warren.broker.consumer import CONSUME_TIMEOUT, consume, is_open, open_channel, until_closed
from warren.broker.errors import Unavailable, translated
from warren.broker.identity import reply_queue
from warren.broker.publisher import Publisher
from warren.contract import queries as q
from warren.contract.bots import bot_user
from warren.contract.codes import Code
from warren.contract.ids import direct_room, inbox_room
from warren.contract.sizes import SERVER_BODY_LIMIT, first_within, last_within
from warren.contract.topology import BOT_QUERY_QUEUE, QUERY_QUEUE
from warren.contract.wire import utc_now
from warren.ops.mongo import StoreUnavailable
from warren.rates import Buckets, Rate
from warren.supervise import failed
from warren.untrusted import UnreadableError, first_error, read

from warren_persistence import metrics
from warren_persistence.domain.room import NOBODY, Membership
from warren_persistence.queries.access import AccessResolver, Pair, ResolvedAccess, read_of
from warren_persistence.store import Store, pair_of, standing_of

log = logging.getLogger(__name__)

PREFETCH = 100
"""Queries in work at once …"""
BOTS_PREFETCH = 20
"""… and of bots, besides."""
CONSUME_WITHIN = 1.0
"""Seconds for a queue of queries to have a leader, at the first try; on a slow broker each takes twice as long, up to
CONSUME_TIMEOUT. Nobody is hurt if the one before was heard after all: the queue gives to all who consume."""
STOP_WITHIN = 5.0
"""Seconds to answer what is in hand when told to stop: nobody waits for longer."""
BODY_LIMIT = 64 * 1024
"""Bytes of a query: more than the heads of 500 rooms need."""
ALONE = Rate(100, 500)
"""Queries of a broker user that asks for itself alone. People's limits are the gateways'."""
NOTES_SHARE = SERVER_BODY_LIMIT // 4
"""Bytes of a page of history that its notes may take; the messages have the rest."""
MY_ROOMS = 1_000
"""The most rooms in the answer to MyRooms."""


class Reader:
    """Takes queries from the shared queues and answers each to its `reply_to`.

    `gateways`: broker users that ask on behalf of anybody; every other one asks for itself alone. `everything`: the
    names of bots that the operator lets read all rooms.
    """

    def __init__(
        self, store: Store, publisher: Publisher, epoch: str, gateways: frozenset[str],
        everything: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._store = store
        self._publisher = publisher
        self._epoch = epoch
        self._gateways = gateways
        self._rates = Buckets(ALONE)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._consume_within = CONSUME_WITHIN
        self._watchers = sorted(map(bot_user, everything))
        self._resolver = AccessResolver(store, frozenset(self._watchers))
        self._handlers: dict[type[BaseModel], Callable[[Any], Awaitable[BaseModel]]] = {
            q.RoomAccess: self._access,
            q.EventRange: self._range,
            q.History: self._history,
            q.MyRooms: self._my_rooms,
            q.Directory: self._directory,
            q.Heads: self._heads,
            q.Members: self._members,
            q.People: self._people,
            q.Acquaintance: self._acquaintance,
            q.Blocks: self._blocks,
            q.SignIns: self._sign_ins,
        }

    async def serve(self, connection: AbstractConnection) -> None:
        """Answer what people ask, on this connection until it goes away."""
        await self._consume(connection, QUERY_QUEUE, PREFETCH)

    async def serve_bots(self, connection: AbstractConnection) -> None:
        """Answer what bots ask, on this connection until it goes away."""
        await self._consume(connection, BOT_QUERY_QUEUE, BOTS_PREFETCH)

    async def _consume(self, connection: AbstractConnection, queue: str, prefetch: int) -> None:
        channel = await open_channel(connection, prefetch)
        underlay = await channel.get_underlay_channel()

        def sink(message: DeliveredMessage) -> None:
            task = asyncio.create_task(self._handle(underlay, message))
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)

        try:
            consumer = await consume(channel, queue, sink, within=self._consume_within)
        except TimeoutError:
            self._consume_within = min(2 * self._consume_within, CONSUME_TIMEOUT)
            raise
        self._consume_within = CONSUME_WITHIN
        try:
            await until_closed(channel)
        finally:
            if is_open(underlay):
                await self._stop(underlay, consumer)

    async def _stop(self, channel: AbstractChannel, consumer: str) -> None:
        """Take no more, and answer what is in hand first, or else whoever asked would wait in vain."""
        with contextlib.suppress(Unavailable), translated():
            await channel.basic_cancel(consumer, timeout=STOP_WITHIN)
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=STOP_WITHIN)

    async def _handle(self, channel: AbstractChannel, message: DeliveredMessage) -> None:
        properties = message.header.properties
        try:
            if self._is_too_much(properties.user_id):
                return
            answer = await self._answer(message.body, properties.user_id)
            if reply_to := reply_queue(properties.user_id, properties.reply_to):
                body = answer.model_dump_json().encode()
                await self._publisher.publish(
                    "", reply_to, body, correlation_id=properties.correlation_id, message_type="answer"
                )
        except Unavailable as error:
            log.warning("answer not sent", extra={"error": str(error)})
        except Exception as error:
            failed("query", error)
        finally:
            # Also when it failed: who asked has given up or asks again, so a query is worth one try.
            if message.delivery_tag is not None and is_open(channel):
                with contextlib.suppress(Unavailable), translated():
                    await channel.basic_ack(message.delivery_tag, wait=False)

    def _is_too_much(self, publisher: str | None) -> bool:
        """Whether a query is dropped unread: it takes less than to read it, and who sends so many waits for none."""
        user = publisher or ""
        if user in self._gateways or not self._rates.take(user, time.monotonic()):
            return False
        metrics.QUERIES_DROPPED.labels(user).inc()
        return True

    async def _answer(self, body: bytes, publisher: str | None) -> BaseModel:
        kind = "unknown"
        try:
            query = q.QUERY.validate_python(_read(body))
            kind = query.type
            if publisher in self._gateways or publisher == query.user is not None:
                answer = await self._handlers[type(query)](query)
            else:
                answer = q.Denied(code=Code.FORBIDDEN, detail="the broker does not vouch for this asker")
        except UnreadableError as error:
            answer = q.Denied(code=Code.INVALID, detail=str(error))
        except ValidationError as error:
            answer = q.Denied(code=Code.INVALID, detail=first_error(error))
        except StoreUnavailable:
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the store does not answer at the moment")
        except Exception as error:
            failed("query", error, query=kind)
            answer = q.Denied(code=Code.UNAVAILABLE, detail="the query failed")
        outcome = answer.code if isinstance(answer, q.Denied) else "ok"
        metrics.QUERIES.labels(kind, outcome).inc()
        return answer

    async def _access(self, query: q.RoomAccess) -> BaseModel:
        access = await self._resolver.look(query.room, query.user)
        if isinstance(access, q.Denied):
            return access
        return q.Access(
            epoch=self._epoch,
            kind=access.kind,
            title=access.title,
            head=access.head.head,
            number=access.head.number,
            read=access.read,
            member=access.membership.state == "member",
            role=access.membership.role,
            muted=access.membership.muted,
            archived=access.archived,
            peer=(await self._peers([access.pair], query.user)).get(access.pair) if access.pair else None,
        )

    async def _range(self, query: q.EventRange) -> BaseModel:
        # The head first: events stored in between are another answer's.
        if query.user is None:
            head = (await self._store.heads([query.room])).get(query.room, q.Head(head=0, number=0))
        else:
            access = await self._resolver.look(query.room, query.user)
            if isinstance(access, q.Denied):
                return access
            head = access.head
        events = await self._store.range(query.room, query.after, head.head, query.limit)
        return q.Range(epoch=self._epoch, events=first_within(events, SERVER_BODY_LIMIT), head=head.head)

    async def _history(self, query: q.History) -> BaseModel:
        access = await self._resolver.look(query.room, query.user)
        if isinstance(access, q.Denied):
            return access
        upto = access.head.head
        found = await self._store.messages(query.room, query.before, query.after, upto, query.limit + 1)
        room_for = SERVER_BODY_LIMIT - (NOTES_SHARE if query.notes else 0)
        if query.after is not None:
            page = first_within(found[: query.limit], room_for)
        else:
            page = last_within(found[-query.limit :], room_for)
        more = len(found) > len(page)
        notes = await self._notes(query, page, upto, more=more) if query.notes else []
        shown = last_within(notes[-q.NOTES_LIMIT :], NOTES_SHARE)
        return q.Page(messages=page, more=more, notes=shown, notes_cut=len(shown) < len(notes))

    async def _notes(
        self, query: q.History, page: list[q.StoredEvent], upto: int, *, more: bool
    ) -> list[q.StoredEvent]:
        """Return what else happened between the ends of the page; where nothing more follows, up to the log's.

        The last NOTES_LIMIT of it, and one more if there were more.
        """
        low, high = query.after or 0, upto if query.before is None else min(upto, query.before - 1)
        if more and query.after is not None:
            high = page[-1]["seq"]
        elif more:
            low = page[0]["seq"]
        return await self._store.notes(query.room, low, high, q.NOTES_LIMIT + 1)

    async def _my_rooms(self, query: q.MyRooms) -> BaseModel:
        memberships = {found["_id"]["room"]: found for found in await self._store.rooms_of(query.user, MY_ROOMS)}
        rooms, heads = await asyncio.gather(
            self._store.rooms_by_name(memberships), self._store.heads(list(memberships))
        )
        pairs = [pair for room in rooms.values() if (pair := pair_of(room))]
        peers, affairs = await asyncio.gather(self._peers(pairs, query.user), self._affairs(pairs, query.user))
        summaries = [
            _summary(rooms[name], heads[name], found, peers, affairs)
            for name, found in memberships.items()
            if name in rooms and name in heads
        ]
        return q.RoomList(rooms=sorted(summaries, key=lambda summary: summary.room))

    async def _peers(self, pairs: Sequence[Pair], user: str) -> dict[Pair, q.Person]:
        """Return the other one of each pair."""
        others = {pair: _other(pair, user) for pair in pairs}
        names = await self._store.names(others.values()) if others else {}
        return {pair: q.Person(user=other, name=names.get(other, other)) for pair, other in others.items()}

    async def _affairs(self, pairs: Sequence[Pair], user: str) -> dict[Pair, Membership]:
        """Return what `user` has decided about the other one of each pair."""
        inbox, others = inbox_room(user), {pair: _other(pair, user) for pair in pairs}
        found = await self._store.memberships((inbox, other) for other in others.values())
        return {pair: found.get((inbox, other), NOBODY) for pair, other in others.items()}

    async def _directory(self, query: q.Directory) -> BaseModel:
        found = await self._store.public_rooms(query.after, query.limit + 1)
        entries = [q.DirectoryEntry(room=room["_id"], title=room["title"]) for room in found[: query.limit]]
        return q.DirectoryPage(rooms=entries, more=len(found) > query.limit)

    async def _heads(self, query: q.Heads) -> BaseModel:
        if query.user is None:
            heads = await self._store.heads(query.rooms)
        else:
            seen = await self._resolver.look_all((room, query.user) for room in query.rooms)
            heads = {room: access.head for (room, _), access in seen.items() if isinstance(access, ResolvedAccess)}
        return q.HeadsAnswer(epoch=self._epoch, heads=heads)

    async def _members(self, query: q.Members) -> BaseModel:
        access = await self._resolver.look(query.room, query.user)
        if isinstance(access, q.Denied):
            return access
        if access.kind == "inbox" or access.membership.state != "member":
            return q.Denied(code=Code.FORBIDDEN, detail="only members may do this")
        if query.state != "member" and access.membership.role not in ("owner", "moderator"):
            return q.Denied(code=Code.FORBIDDEN, detail="only for the room's moderators")
        now = utc_now()
        found = await self._store.members_of(query.room, query.state, query.after, query.limit + 1, now)
        names = await self._store.names(document["_id"]["user"] for document in found)
        entries = [_entry(document, names, now) for document in found[: query.limit]]
        return q.MemberPage(members=entries, more=len(found) > query.limit, watched_by=self._watchers)

    async def _people(self, query: q.People) -> BaseModel:
        found = await self._store.people(query.prefix, query.limit)
        return q.PeopleAnswer(people=[q.Person(user=user, name=name) for user, name in found.items()])

    async def _acquaintance(self, query: q.Acquaintance) -> BaseModel:
        mine = [found["_id"]["room"] for found in await self._store.rooms_of(query.user, MY_ROOMS)]
        mine.append(direct_room(query.user, query.other))  # of those only so many are listed
        # The same reads whoever is asked about, so that it takes as long.
        shared, names = await asyncio.gather(
            self._store.is_member_of(query.other, mine), self._store.names([query.other])
        )
        if not shared and query.other != query.user:
            return q.Denied(code=Code.NOT_FOUND, detail="nobody whom one shares a room with")
        return q.Acquainted(name=names.get(query.other, query.other))

    async def _blocks(self, query: q.Blocks) -> BaseModel:
        inbox = inbox_room(query.user)
        found = await self._store.members_of(inbox, "banned", query.after, query.limit + 1, utc_now())
        users = [document["_id"]["user"] for document in found[: query.limit]]
        names = await self._store.names(users)
        people = [q.Person(user=user, name=names.get(user, user)) for user in users]
        return q.PeopleAnswer(people=people, more=len(found) > query.limit)

    async def _sign_ins(self, query: q.SignIns) -> BaseModel:
        if query.user is not None:
            return q.Denied(code=Code.FORBIDDEN, detail="only gateways know who has signed in")
        await self._store.note_people({person.user: person.name for person in query.people}, utc_now())
        return q.Noted()


def _other(pair: Pair, user: str) -> str:
    return pair[1] if pair[0] == user else pair[0]


def _read(body: bytes) -> Any:
    """Return what a query says. Raises UnreadableError."""
    if len(body) > BODY_LIMIT:
        raise UnreadableError(f"more than {BODY_LIMIT} bytes")
    return read(body)


def _entry(document: dict[str, Any], names: Mapping[str, str], now: datetime) -> q.MemberEntry:
    user, membership = document["_id"]["user"], standing_of(document).at(now)
    return q.MemberEntry(
        user=user, name=names.get(user, user), role=membership.role, muted=membership.muted, banned=membership.until
    )


def _summary(
    room: dict[str, Any], head: q.Head, member: dict[str, Any], peers: Mapping[Pair, q.Person],
    affairs: Mapping[Pair, Membership],
) -> q.RoomSummary:  # fmt: skip
    pair = pair_of(room)
    affair = affairs[pair] if pair else NOBODY
    return q.RoomSummary(
        room=room["_id"],
        kind=room["kind"],
        title=room["title"],
        head=head.head,
        number=head.number,
        read=read_of(member),
        unread=head.number - read_of(member),
        role=member["role"],
        archived=room["archived"],
        peer=peers[pair] if pair else None,
        hidden=affair.hidden is not None and head.number <= affair.hidden,
        blocked=affair.state == "banned",
    )
