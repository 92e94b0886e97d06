"""A gateway's own queue on a real broker: it takes in the buckets of rooms that somebody follows, and no others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aiormq.abc import DeliveredMessage
from harness.broker_client import WITHIN
from warren.broker.errors import Unavailable
from warren.contract.topology import bucket, event_key
from warren_gateway.broker.bucket_queue import BucketQueue

TOPIC, FANOUT = "test.buckets", "test.all"
LENGTH = 100


def rooms_of(count: int, *, same: bool) -> list[str]:
    """Return rooms that are all of one bucket, or each of another."""
    found: dict[int, list[str]] = {}
    for number in range(1_000_000):
        room = f"room-{number}"
        found.setdefault(bucket(room), []).append(room)
        if same and len(found[bucket(room)]) == count:
            return found[bucket(room)]
        if not same and len(found) == count:
            break
    return [rooms[0] for rooms in found.values()]


A, B, C = rooms_of(3, same=False)
"""Rooms of three buckets."""
ONE, TWO = rooms_of(2, same=True)


class Gateway:
    """What comes to the queue, and what is published to it."""

    def __init__(self, exchange: AbstractExchange, fanout: AbstractExchange, *, length: int, prefetch: int) -> None:
        self.connected = asyncio.Event()
        self.queue = BucketQueue(
            TOPIC, length, self._take, self.connected.set, prefetch=prefetch, fanout=FANOUT
        )  # fmt: skip
        self.came: asyncio.Queue[str] = asyncio.Queue()
        self._exchange = exchange
        self._fanout = fanout

    def _take(self, message: DeliveredMessage) -> None:
        self.came.put_nowait(message.body.decode())

    async def publish(self, *rooms: str) -> None:
        """Publish a message to each of these rooms."""
        for room in rooms:
            await self._exchange.publish(aio_pika.Message(room.encode()), event_key(room))

    async def come(self) -> list[str]:
        """Return what has come of what was published until now: a last message is for everybody."""
        await self._fanout.publish(aio_pika.Message(b"last"), "")
        found: list[str] = []
        async with asyncio.timeout(WITHIN):
            while (one := await self.came.get()) != "last":
                found.append(one)
        return found

    @asynccontextmanager
    async def serving(self, connection: AbstractConnection) -> AsyncIterator[None]:
        """Have it consume meanwhile, on a queue that has all that was wanted before."""
        self.connected.clear()
        task = asyncio.create_task(self.queue.serve(connection))
        try:
            async with asyncio.timeout(WITHIN):
                await self.connected.wait()
            yield
        finally:
            if self.queue.channel is not None and not self.queue.channel.is_closed:
                await self.queue.channel.close()
            await asyncio.wait([task])


@pytest.fixture
async def channel(operator: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """Return a channel on which publishes are confirmed, so that what follows them comes after them."""
    found = await operator.channel()
    await found.declare_exchange(TOPIC, "topic")
    await found.declare_exchange(FANOUT, "fanout")
    yield found
    for name in (TOPIC, FANOUT):
        await found.exchange_delete(name)


async def new_gateway(channel: AbstractChannel, length: int = LENGTH, prefetch: int = 0) -> Gateway:
    topic, fanout = [await channel.get_exchange(name, ensure=False) for name in (TOPIC, FANOUT)]
    return Gateway(topic, fanout, length=length, prefetch=prefetch)


@pytest.fixture
async def gateway(channel: AbstractChannel) -> Gateway:
    return await new_gateway(channel)


async def test_what_is_followed_comes_in_order_and_nothing_else(gateway: Gateway, operator: AbstractConnection) -> None:
    gateway.queue.follow(A)
    async with gateway.serving(operator):
        gateway.queue.follow(B)
        await gateway.queue.bind(B)
        await gateway.publish(A, C, B, A, C)
        assert await gateway.come() == [A, B, A]


async def test_a_bucket_comes_until_nobody_follows_any_of_its_rooms(
    gateway: Gateway, operator: AbstractConnection
) -> None:
    for room in (ONE, TWO):
        gateway.queue.follow(room)
    async with gateway.serving(operator):
        gateway.queue.unfollow(ONE)
        await gateway.queue.tidy()
        await gateway.publish(TWO)
        assert await gateway.come() == [TWO]
        gateway.queue.unfollow(TWO)
        await gateway.publish(TWO)
        assert await gateway.come() == [TWO], "until it is tidied up"
        await gateway.queue.tidy()
        await gateway.publish(ONE, TWO)
        assert await gateway.come() == []
        gateway.queue.follow(ONE)
        await gateway.queue.bind(ONE)
        await gateway.publish(ONE)
        assert await gateway.come() == [ONE]


async def test_who_comes_while_others_are_given_up_is_not_given_up_with_them(
    gateway: Gateway, operator: AbstractConnection
) -> None:
    """Each is a question to the broker, and rooms are followed between them; one that is being given up, too."""
    for room in (A, B):
        gateway.queue.follow(room)
    async with gateway.serving(operator):
        for room in (A, B):
            gateway.queue.unfollow(room)
        tidying = asyncio.create_task(gateway.queue.tidy())
        await asyncio.sleep(0)  # it has asked for the first
        for room in (A, B):
            gateway.queue.follow(room)
        await asyncio.gather(tidying, gateway.queue.bind(A), gateway.queue.bind(B))
        await gateway.publish(A, B)
        assert await gateway.come() == [A, B]


async def test_a_new_queue_has_all_that_is_followed_before_anybody_hears_of_it(
    gateway: Gateway, operator: AbstractConnection
) -> None:
    for room in (A, B):
        gateway.queue.follow(room)
    async with gateway.serving(operator):
        gateway.queue.unfollow(B)
    gateway.queue.follow(C)
    await gateway.publish(A)  # to nobody
    async with gateway.serving(operator):
        await gateway.publish(A, B, C)
        assert await gateway.come() == [A, C]


async def test_without_a_queue_nothing_is_bound_and_nothing_given_up(
    gateway: Gateway, operator: AbstractConnection
) -> None:
    gateway.queue.follow(A)
    with pytest.raises(Unavailable):
        await gateway.queue.bind(A)
    async with gateway.serving(operator):
        pass
    gateway.queue.unfollow(A)
    await gateway.queue.tidy()
    gateway.queue.follow(B)
    with pytest.raises(Unavailable):
        await gateway.queue.bind_all()
    async with gateway.serving(operator):
        await gateway.publish(A, B)
        assert await gateway.come() == [B]


async def test_of_what_waits_for_one_that_reads_nothing_the_oldest_goes(
    channel: AbstractChannel, operator: AbstractConnection
) -> None:
    """`prefetch` of them are delivered and not acknowledged, and `length` more wait."""
    gateway = await new_gateway(channel, length=2, prefetch=1)
    gateway.queue.follow(A)
    async with gateway.serving(operator), asyncio.timeout(WITHIN):
        exchange = await channel.get_exchange(TOPIC, ensure=False)
        for number in range(6):
            await exchange.publish(aio_pika.Message(str(number).encode()), event_key(A))
            if not number:
                assert await gateway.came.get() == "0"
        assert gateway.came.empty()
        for tag, expected in enumerate(("4", "5"), start=1):
            assert gateway.queue.channel is not None
            await gateway.queue.channel.basic_ack(tag)
            assert await gateway.came.get() == expected
