"""Notices to inboxes: those of a shard whose queue is full wait, and nobody else's."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import FieldTable
from harness.broker_client import WITHIN
from harness.stack import Stack
from warren.broker.publisher import Publisher
from warren.contract.ids import inbox_room, new_id
from warren.contract.topology import shard, shard_key
from warren.contract.wire import utc_now
from warren_persistence.publishing import notifications
from warren_persistence.store import Store, connect

ROOM = "garden"
EXCHANGE = "test.notifications"


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[Store]:
    """Return an empty store of the test's own."""
    parts = urlsplit(stack.mongodb.url)
    found = connect(urlunsplit(parts._replace(path=f"/notifications-{secrets.token_hex(4)}")))
    await found.prepare()
    yield found
    found.close()


@pytest.fixture
async def channel(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AbstractChannel]:
    """Return a channel on which notices go to an exchange of the test's own."""
    monkeypatch.setattr(notifications, "COMMANDS", EXCHANGE)
    monkeypatch.setattr(notifications, "CHECK_EVERY", 0.1)
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        found = await connection.channel()
        await found.declare_exchange(EXCHANGE, "direct", auto_delete=True)
        yield found


async def queue(channel: AbstractChannel, number: int, length: int) -> AbstractQueue:
    arguments: FieldTable = {"x-max-length": length, "x-overflow": "reject-publish"}
    found = await channel.declare_queue(f"{EXCHANGE}.{number}.{length}", exclusive=True, arguments=arguments)
    await found.bind(EXCHANGE, shard_key(number))
    return found


async def put_invitations(store: Store, people: list[str], room: str = ROOM) -> None:
    """Store what a writer leaves that has died before any notice of it was published."""
    common = {"room": room, "sender": "ann", "name": "Ann", "at": utc_now(), "number": 0}
    invited = [{"type": "member.invited", "user": user, "unsent": True} for user in people]
    log: list[dict[str, Any]] = [{"type": "room.created", "kind": "private", "title": "Garden"}, *invited]
    places = ({"seq": seq, "id": new_id(), "key": f"k{seq}"} for seq in itertools.count(1))
    await store.database.events.insert_many(
        [{**common, **place, **event} for place, event in zip(places, log, strict=False)]
    )
    await store.database.rooms.insert_one(
        {"_id": room, "kind": "private", "title": "Garden", "archived": False, "seq": 1}
    )


async def came(queue: AbstractQueue, count: int) -> None:
    """Wait until so many notices have come there."""
    found: set[bytes] = set()
    async with asyncio.timeout(WITHIN), queue.iterator(no_ack=True) as messages:
        while len(found) < count:
            found.add((await anext(messages)).body)


async def test_one_full_queue_holds_up_no_others_notices(stack: Stack, store: Store, channel: AbstractChannel) -> None:
    """There are more for the full one, and older ones, than are read at once."""
    names = (f"p{number}" for number in itertools.count())
    first = next(names)
    full = shard(inbox_room(first))
    refused = [first, *itertools.islice((n for n in names if shard(inbox_room(n)) == full), notifications.PORTION + 5)]
    other = next(name for name in names if shard(inbox_room(name)) != full)
    await put_invitations(store, [*refused, other])
    small, free = await queue(channel, full, 1), await queue(channel, shard(inbox_room(other)), 10)
    await channel.default_exchange.publish(aio_pika.Message(b"full"), small.name)

    async with working(stack, store):
        await came(free, 1)
        await small.delete(if_empty=False)
        large = await queue(channel, full, 1_000)
        await came(large, len(refused))


async def test_one_that_cannot_be_made_holds_up_no_others(stack: Stack, store: Store, channel: AbstractChannel) -> None:
    await put_invitations(store, ["early"], "broken")
    await store.database.rooms.update_one({"_id": "broken"}, {"$unset": {"kind": ""}})
    await put_invitations(store, ["late"])
    free = await queue(channel, shard(inbox_room("late")), 10)
    async with working(stack, store):
        await came(free, 1)
        await put_invitations(store, ["later"], "meadow")
        await came(await queue(channel, shard(inbox_room("later")), 20), 1)


async def test_what_only_a_later_version_knows_holds_up_no_others(
    stack: Stack, store: Store, channel: AbstractChannel
) -> None:
    """It may be all that is read at once."""
    common = {"room": "later", "sender": "ann", "name": "Ann", "at": utc_now(), "number": 0, "unsent": True}
    unknown = {**common, "type": "member.role", "user": "bob", "role": "bard"}
    await store.database.events.insert_many(
        {**unknown, "seq": seq, "id": new_id(), "key": f"k{seq}"} for seq in range(1, notifications.PORTION + 1)
    )
    await put_invitations(store, ["late"])
    free = await queue(channel, shard(inbox_room("late")), 10)
    async with working(stack, store):
        await came(free, 1)


@asynccontextmanager
async def working(stack: Stack, store: Store) -> AsyncIterator[None]:
    """Have an outbox at work."""
    publisher = Publisher()
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as connection:
        serving = asyncio.create_task(publisher.serve(connection))
        works = [serving, asyncio.create_task(notifications.NotificationOutbox(store, publisher).run())]
        try:
            yield
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
