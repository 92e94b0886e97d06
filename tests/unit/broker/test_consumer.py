"""Acknowledging in order: what the broker would close the channel for does not happen, however slow the socket is."""

import asyncio
from typing import Any, cast

from aio_pika.abc import AbstractChannel as PikaChannel
from aiormq.abc import AbstractChannel
from warren.broker.consumer import ACK_TOGETHER, ACK_WITHIN, Acks, close


class Congested:
    """A channel whose socket lets one acknowledgement through at a time, the latest first."""

    def __init__(self) -> None:
        self.is_closed = False
        self.acked: list[int] = []
        self._waiting: list[tuple[int, asyncio.Event]] = []

    async def basic_ack(self, tag: int, **_: Any) -> None:
        through = asyncio.Event()
        self._waiting.append((tag, through))
        await through.wait()
        assert tag > max(self.acked, default=0), "unknown delivery tag"
        self.acked.append(tag)

    async def flow(self) -> None:
        """Let through what waits, until nothing does."""
        while not await self._idle():
            self._waiting.pop()[1].set()

    async def _idle(self) -> bool:
        for _ in range(5):  # turns of the event loop until whoever may go on has
            await asyncio.sleep(0)
        return not self._waiting


async def test_one_at_a_time_and_each_delivery_once() -> None:
    channel = Congested()
    acks = Acks(cast(AbstractChannel, channel))
    for tag in range(1, ACK_TOGETHER + 1):
        acks.through(tag)
    await channel.flow()
    assert channel.acked == [ACK_TOGETHER]
    acks.through(2 * ACK_TOGETHER)
    await asyncio.sleep(0)
    acks.through(2 * ACK_TOGETHER + 3)
    acks.through(2 * ACK_TOGETHER + 2)
    await channel.flow()
    assert channel.acked[1:] == [2 * ACK_TOGETHER, 2 * ACK_TOGETHER + 3]


async def test_few_wait_for_more_or_for_a_moment() -> None:
    channel = Congested()
    acks = Acks(cast(AbstractChannel, channel))
    for tag in range(1, ACK_TOGETHER):
        acks.through(tag)
    await channel.flow()
    assert channel.acked == []
    while not channel.acked:
        await asyncio.sleep(ACK_WITHIN / 10)
        await channel.flow()
    assert channel.acked == [ACK_TOGETHER - 1]


async def test_what_is_due_is_acknowledged_before_the_channel_is_closed() -> None:
    channel = Congested()
    acks = Acks(cast(AbstractChannel, channel))
    acks.through(1)
    flushed = asyncio.create_task(acks.flush())
    await channel.flow()
    await flushed
    assert channel.acked == [1]
    await acks.flush()  # nothing is due
    assert channel.acked == [1]


async def test_a_closed_channel_is_left_alone() -> None:
    channel = Congested()
    acks = Acks(cast(AbstractChannel, channel))
    channel.is_closed = True
    acks.through(1)
    await channel.flow()
    assert channel.acked == []


async def test_a_channel_that_was_told_to_close_is_left_alone_though_the_broker_has_not_answered_yet() -> None:
    channel, answered = Congested(), asyncio.Event()
    acks = Acks(cast(AbstractChannel, channel))
    closing = asyncio.create_task(close(cast(PikaChannel, Closing(channel, answered))))
    await channel.flow()
    acks.through(1)
    await channel.flow()
    assert channel.acked == []
    answered.set()
    await closing


class Closing:
    """The library's channel over a congested one; it is closed once the broker has answered."""

    def __init__(self, underlay: Congested, answered: asyncio.Event) -> None:
        self._underlay = underlay
        self._answered = answered

    async def get_underlay_channel(self) -> Congested:
        return self._underlay

    async def close(self) -> None:
        await self._answered.wait()
