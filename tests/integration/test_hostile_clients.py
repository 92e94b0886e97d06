"""I7: clients that flood, stop reading or never finish cost bounded memory, and those beside them go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from harness.broker_client import BrokerClient
from harness.concurrency import run_concurrently
from harness.observability import connected, log_lines, metric, resident_mib
from harness.raw_clients import CLOSE, CONTINUATION, PING, RawClient, frame, message, raw_connect, raw_sign_in
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Place
from warren_local.service import Service

CLIENTS = 50
FRAMES = 10_000
ROUNDS = 3
MEMORY_MIB = 400.0
"""What a gateway under a flood may hold, all in all: about five times what it holds when idle."""
GROWTH_MIB = 60.0
"""What it may hold more after the last round than after the first: allocators keep some, a leak keeps all."""
WITHIN = 60.0
"""Seconds for a flood to be dealt with; a bound, not an expectation."""

BLOCKED_AFTER = 5.0
"""Seconds without progress after which a writer counts as held off."""
LET_GO_WITHIN = 15.0
"""Seconds until a cut connection is gone: the gateway gives it ten."""

Attack = Callable[[RawClient, str], Awaitable[int | None]]


@pytest.fixture(autouse=True)
async def recovered(stack: Stack) -> None:
    """Begin each test with a gateway that can work, whatever the last one did to it."""
    await asyncio.to_thread(stack.gateways[0].wait_ready, WITHIN)


@asynccontextmanager
async def conversation(gateway: str, place: Place) -> AsyncIterator[list[int]]:
    """Somebody talks and listens the whole time; yields the seqs that were acked so far."""
    acked: list[int] = []
    moved = asyncio.Event()

    async def chat() -> None:
        async with connect(gateway, place.ann.token) as ann:
            at = (await ann.join(place.room))["head"]
            while True:
                ack = await ann.send(place.room, "undisturbed")
                assert ack["type"] == "ack", ack
                if ack["seq"] > at:  # else it was shown already, with what others said
                    shown = [event["seq"] for event in await ann.events(place.room, ack["seq"])]
                    assert shown == list(range(at + 1, at + 1 + len(shown)))
                    at = shown[-1]
                acked.append(ack["seq"])
                moved.set()

    async def more(count: int) -> None:
        goal = len(acked) + count
        async with asyncio.timeout(WITHIN):
            while len(acked) < goal:
                moved.clear()
                await moved.wait()

    # A chat that fails ends the attack too, and is what the test reports.
    async with asyncio.TaskGroup() as group:
        chatting = group.create_task(chat())
        await more(1)
        yield acked
        await more(3)
        chatting.cancel()
    assert acked == sorted(set(acked))


async def attacked(service: Service, token: str, attack: Attack, clients: int) -> list[int | None]:
    """Attack from so many clients at once; return what they were closed with."""

    async def one() -> int | None:
        client = await raw_sign_in(service.url, token)
        try:
            return await attack(client, token)
        finally:
            client.abort()

    async with asyncio.timeout(WITHIN):
        return await run_concurrently(*(one() for _ in range(clients)))


def broker_losses(service: Service) -> int:
    return len(log_lines(service.log, '"broker lost"'))


async def endure(
    service: Service, place: Place, attack: Attack, codes: set[int | None], clients: int = CLIENTS
) -> None:
    """Attack round after round; memory stays bounded and does not grow, and a conversation goes on meanwhile."""
    lost = broker_losses(service)
    memory = []
    peak = 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_mib(service))
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        for _ in range(ROUNDS):
            async with conversation(service.url, place) as acked:
                goal = len(acked) + 2
                async with asyncio.timeout(WITHIN):
                    while len(acked) < goal:  # wave after wave, and the conversation goes on under them
                        assert set(await attacked(service, place.bob.token, attack, clients)) <= codes
            memory.append(resident_mib(service))
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert broker_losses(service) == lost, "the gateway was held up until the broker gave it up"
    assert peak < MEMORY_MIB, (peak, memory)
    assert memory[-1] - memory[0] < GROWTH_MIB, (peak, memory)


async def push_and_read(client: RawClient, data: bytes) -> int | None:
    """Push bytes, reading at the same time as a polite client does."""
    pushing = asyncio.create_task(client.push(data))
    try:
        return await client.close_code()
    finally:
        client.abort()
        await asyncio.gather(pushing, return_exceptions=True)


async def test_10_000_frames_at_once_end_the_connection_with_4505(stack: Stack, place: Place) -> None:
    flood = message(type="ping") * FRAMES
    await endure(stack.gateways[0], place, lambda client, _: push_and_read(client, flood), {4505})


async def test_10_000_sends_at_once_end_the_connection_with_4505(
    stack: Stack, gateways: list[str], place: Place
) -> None:
    """At most `unanswered` of them are taken up, and what was acked is stored."""
    client = await raw_sign_in(gateways[0], place.bob.token)
    flood = b"".join(message(type="send", room=place.room, key=f"k{n}", text="x") for n in range(FRAMES))
    async with conversation(gateways[0], place), asyncio.timeout(WITHIN):
        assert await push_and_read(client, flood) == 4505
    refused = [text for text in client.texts if b'"error"' in text]
    assert all(b'"too_many"' in text and b'"temporary":true' in text for text in refused)
    assert len(client.texts) <= 600


async def test_floods_of_huge_frames_cost_no_memory(stack: Stack, place: Place) -> None:
    huge = frame(b" " * 2**22)
    await endure(stack.gateways[0], place, lambda client, _: push_and_read(client, huge), {1009, None})


async def test_floods_of_the_smallest_frames_cost_no_memory(stack: Stack, place: Place) -> None:
    tiny = frame(b"") * 40_000
    await endure(stack.gateways[0], place, lambda client, _: push_and_read(client, tiny), {4501, 4505}, clients=20)


async def test_hello_floods_without_a_token_cost_no_memory(stack: Stack, place: Place) -> None:
    async def attack(_: RawClient, __: str) -> int | None:
        client = await raw_connect(stack.gateways[0].url)
        return await push_and_read(client, message(type="hello", token="x" * 8_000) * 100)

    await endure(stack.gateways[0], place, attack, {4503})


async def closed(service: Service) -> float:
    """Return how many connections the gateway has closed."""
    return await metric(service.url, "warren_connections_closed_total")


async def pour(client: RawClient, data: bytes, times: int) -> bool:
    """Push the same again and again; False when the gateway hangs up or reads no more."""
    for _ in range(times):
        try:
            async with asyncio.timeout(BLOCKED_AFTER):
                if not await client.push(data):
                    return False
        except TimeoutError:
            return False
    return True


async def test_a_client_that_pings_and_does_not_read_is_cut(stack: Stack, place: Place) -> None:
    """The pongs of RFC 6455 are the gateway's to send; whoever lets them pile up is a slow consumer."""
    service = stack.gateways[0]
    client = await raw_sign_in(service.url, place.bob.token, receive_buffer=4_096)
    client.stop_reading()
    before = await closed(service)
    try:
        async with conversation(service.url, place), asyncio.timeout(WITHIN):
            if await pour(client, frame(b"x" * 125, PING) * 8_000, 50) and await closed(service) == before:
                pytest.fail(f"50 MB of pings are answered to nobody; {resident_mib(service):.0f} MiB resident")
    finally:
        client.abort()


async def test_a_message_that_never_ends_is_cut(stack: Stack, place: Place) -> None:
    """A message in endless empty pieces is no message: it holds a connection, and memory for each piece."""
    service = stack.gateways[0]
    client = await raw_sign_in(service.url, place.bob.token)
    before = await closed(service)
    try:
        async with conversation(service.url, place), asyncio.timeout(WITHIN):
            await client.push(frame(b"", fin=False))
            if await pour(client, frame(b"", CONTINUATION, fin=False) * 10_000, 50) and await closed(service) == before:
                pytest.fail("half a million empty pieces were taken")
    finally:
        client.abort()


async def test_a_slow_reader_that_answers_the_close_is_let_go(
    stack: Stack, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    """What lies in its buffer will never drain, so the gateway must not wait for that."""
    service = stack.gateways[0]
    client = await raw_sign_in(service.url, place.bob.token, receive_buffer=4_096)
    port = client.writer.get_extra_info("sockname")[1]
    await client.push(message(type="join", room=place.room))
    await client.read_json("joined")
    client.stop_reading()
    before = await metric(service.url, "warren_slow_consumers_total")
    async with asyncio.timeout(WITHIN):
        while await metric(service.url, "warren_slow_consumers_total") == before:
            await broker.fill(place.room, place.ann.id, ["x" * 4_000] * 200)
    await client.push(frame(b"\x03\xe8", CLOSE))
    try:
        async with asyncio.timeout(LET_GO_WITHIN):
            while connected(service, port):  # noqa: ASYNC110 - another process's sockets: nothing to wait on
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail("the connection, and the megabytes in its buffer, are kept although it was cut")
    finally:
        client.abort()
