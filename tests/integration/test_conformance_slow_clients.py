"""Every transport: who does not read is cut and costs the others nothing; a gateway that stops loses nothing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from harness.broker_client import BrokerClient
from harness.concurrency import run_concurrently
from harness.observability import connected, errors, metric, resident_mib
from harness.raw_clients import RawClient, RawRequest, message, raw_request, raw_sign_in
from harness.scripted_client import connect, connect_over
from harness.stack import Stack
from harness.transport import TRANSPORTS, Frame, TransportName
from integration.conftest import Person, Place, seqs
from integration.test_conformance_order import assert_goes_on
from integration.test_member_removal import shown
from warren_local.service import Service

OUTBOX = 2 * 1024 * 1024
REPLAY_LIMIT = 1_000
WITHIN = 60.0
"""Seconds for the cut; a bound, not an expectation."""
LET_GO_WITHIN = 15.0
"""Seconds until a cut connection is gone: the gateway gives it ten."""
MEMORY_MIB = 40.0
"""What the gateway may take more for a reader that stopped: far above its outbox, far below what was said."""
RECEIVE_BUFFER = 4_096


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[Service]:
    """Return a gateway with the smallest outbox there is."""
    gateway = stack.extra("gateway", 4, WARREN_OUTBOX_BYTES=str(OUTBOX))
    try:
        gateway.start()
        gateway.wait_ready(WITHIN)
        yield gateway
    finally:
        gateway.stop()
    assert errors([gateway]) == []


class SlowReader(Protocol):
    """Somebody who follows a room, and stops reading."""

    @property
    def port(self) -> int: ...
    def stop_reading(self) -> None: ...
    def go_on_reading(self) -> None: ...
    def abort(self) -> None: ...
    async def rest(self) -> tuple[list[Frame], int | None]:
        """Read to the end: what had been sent, and the code with which it ends."""


class SlowSocket(RawClient):
    async def rest(self) -> tuple[list[Frame], int | None]:
        code = await self.close_code()
        return [json.loads(text) for text in self.texts], code


class SlowStream(RawRequest):
    async def rest(self) -> tuple[list[Frame], int | None]:
        frames: list[Frame] = []
        with contextlib.suppress(OSError, EOFError):
            while True:
                frames.append(json.loads((await self.event()).data))
        bye = frames.pop() if frames and frames[-1]["type"] == "bye" else {}
        return frames, bye.get("code")


async def slow(transport: str, gateway: str, who: Person, room: str) -> SlowReader:
    """Follow a room from its head, read that it is so, and nothing from then on."""
    reader: SlowSocket | SlowStream
    if transport == "websocket":
        client = await raw_sign_in(gateway, who.token, receive_buffer=RECEIVE_BUFFER)
        reader = SlowSocket(client.reader, client.writer)
        await reader.push(message(type="join", room=room))
        await reader.read_json("joined")
    else:
        request = await raw_request(gateway, "GET", f"/v1/sse?room={room}", who.token, receive_buffer=RECEIVE_BUFFER)
        reader = SlowStream(request.reader, request.writer)
        assert await reader.head() == 200
        while (await reader.event()).kind != "joined":
            pass
    reader.stop_reading()
    return reader


async def cut(gateway: Service) -> float:
    return await metric(gateway.url, "warren_slow_consumers_total")


async def fill_until_cut(gateway: Service, place: Place, broker: BrokerClient) -> int:
    """Say things until somebody is cut, while bob reads all of it there; return the head."""
    before, head = await cut(gateway), 2
    read: list[int] = []
    async with asyncio.timeout(WITHIN), connect(gateway.url, place.bob.token) as bob:
        await bob.join(place.room)
        while await cut(gateway) == before:
            for _ in range(10):
                head = await broker.fill(place.room, place.ann.id, ["x" * 1_000] * 20)
                read += seqs(await bob.events(place.room, head))
        assert read == list(range(3, head + 1))
        async with connect(gateway.url, place.ann.token) as ann:
            assert (await ann.send(place.room, "still quick"))["seq"] == head + 1
        assert seqs(await bob.events(place.room, head + 1)) == [head + 1]
    assert await cut(gateway) == before + 1
    return head + 1


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_reader_that_stops_is_cut_with_4008_and_the_others_see_everything(
    transport: TransportName, small: Service, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    reader, memory = await slow(transport, small.url, place.eve, place.room), resident_mib(small)
    head = await fill_until_cut(small, place, broker)
    assert resident_mib(small) - memory < MEMORY_MIB
    # What it was sent before is still good: in order, without a hole, and then the code.
    reader.go_on_reading()
    async with asyncio.timeout(WITHIN):
        frames, code = await reader.rest()
    reader.abort()
    assert code == 4008
    read = shown(frames)
    assert read == list(range(3, 3 + len(read)))
    async with connect_over(transport, gateways[0], place.eve.token) as eve:
        at = max(read[-1], head - REPLAY_LIMIT)
        assert (await eve.join(place.room, at))["reset"] is False
        assert seqs(await eve.events(place.room, head)) == list(range(at + 1, head + 1))


async def test_a_stream_that_is_never_read_again_is_let_go(small: Service, place: Place, broker: BrokerClient) -> None:
    """What lies in its buffer will never drain, so the gateway must not wait for that."""
    reader = await slow("sse", small.url, place.eve, place.room)
    await fill_until_cut(small, place, broker)
    try:
        assert connected(small, reader.port)
        async with asyncio.timeout(LET_GO_WITHIN):
            while connected(small, reader.port):  # noqa: ASYNC110 - another process's sockets: nothing to wait on
                await asyncio.sleep(0.2)
    finally:
        reader.abort()


async def test_the_smallest_outbox_still_serves_a_reader_who_resumes(
    transport: TransportName, small: Service, place: Place, broker: BrokerClient
) -> None:
    """A replay is many times the smallest outbox; who reads as it comes is not slow."""
    head = await broker.fill(place.room, place.ann.id, ["\U0001f407" * 2_000] * 600)
    async with connect_over(transport, small.url, place.bob.token) as bob:
        await bob.join(place.room, 2)
        assert seqs(await bob.events(place.room, head)) == list(range(3, head + 1))
    assert await metric(small.url, "warren_connections_closed_total", code="4008") == await cut(small)


async def test_answers_of_polls_that_nobody_reads_cost_bounded_memory(
    small: Service, place: Place, broker: BrokerClient
) -> None:
    await broker.fill(place.room, place.ann.id, ["x" * 4_000] * 300)
    memory = resident_mib(small)
    body = {"cursors": {place.room: {"since": 2}}, "wait": 25}
    polls = [
        await raw_request(small.url, "POST", "/v1/poll", place.bob.token, body, receive_buffer=RECEIVE_BUFFER)
        for _ in range(20)
    ]
    try:
        for poll in polls:
            assert await poll.head() == 200
            poll.stop_reading()
        assert resident_mib(small) - memory < MEMORY_MIB
        async with connect_over("polling", small.url, place.bob.token) as bob:
            await bob.join(place.room)
            await assert_goes_on(bob, broker, place, 302)
    finally:
        for poll in polls:
            poll.abort()


@asynccontextmanager
async def own_gateway(stack: Stack) -> AsyncIterator[Service]:
    """Return a gateway that one may stop."""
    service = stack.extra("gateway", 5)
    service.start()
    try:
        await asyncio.to_thread(service.wait_ready, WITHIN)
        yield service
    finally:
        await asyncio.to_thread(service.stop)


async def test_a_gateway_that_stops_sends_everybody_on_and_nothing_is_lost(
    stack: Stack, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    """Told in mid-conversation; who polls is answered, and then finds nobody there."""
    codes: dict[str, int | None] = {"websocket": 4001, "sse": 4001, "polling": None}
    head, writing = 2, True
    joining, everybody, enough = set(TRANSPORTS), asyncio.Event(), asyncio.Event()

    async def write() -> None:
        nonlocal head
        while writing:
            head = await broker.fill(place.room, place.ann.id, ["x"] * 5)
            if everybody.is_set():
                enough.set()

    async def follow(service: Service, transport: TransportName) -> tuple[list[int], dict[str, Any]]:
        async with connect_over(transport, service.url, place.bob.token) as bob:
            joined = await bob.join(place.room, 2)
            joining.discard(transport)
            if not joining:
                everybody.set()
            assert await bob.closed() == codes[transport]
            byes = [frame for frame in bob.passed if frame["type"] == "bye"]
            assert [bye["code"] for bye in byes] == ([4001] if transport != "polling" else [])
            assert all(0 <= bye["after_ms"] <= 3_000 for bye in byes)
            return shown(bob.passed), joined

    async with own_gateway(stack) as service, asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        following = [group.create_task(follow(service, transport)) for transport in TRANSPORTS]
        group.create_task(write())
        await enough.wait()
        await asyncio.to_thread(service.stop)
        found = await run_concurrently(*following)
        writing = False
    assert errors([service]) == []
    for (read, joined), transport in zip(found, TRANSPORTS, strict=True):
        async with connect_over(transport, gateways[0], place.bob.token) as bob:
            assert (await bob.join(place.room, read[-1], joined["epoch"]))["reset"] is False
            read += seqs(await bob.events(place.room, head))
        assert read == list(range(3, head + 1))
