"""Every transport: limits that hold over all of them together, and keys that mean the same over each."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from harness.checker import read_store
from harness.concurrency import run_concurrently
from harness.observability import errors, metric
from harness.scripted_client import ScriptedClient, connect_over
from harness.stack import Stack
from harness.transport import TRANSPORTS, Frame, TransportClosed, TransportName
from integration.conftest import Place, new_address, new_person
from websockets.exceptions import InvalidStatus

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
LET_GO_WITHIN = 10.0
"""Seconds until nothing is left of who has gone: less than a poll waits."""
PER_PERSON, PER_ADDRESS, ROOMS = 3, 6, 4
SMALL = {
    "WARREN_CONNECTIONS_PER_PERSON": str(PER_PERSON),
    "WARREN_CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS),
    "WARREN_ROOMS_PER_CONNECTION": str(ROOMS),
    "WARREN_MESSAGES_PER_SECOND": "1", "WARREN_MESSAGES_BURST": "5",
    "WARREN_PERSON_MESSAGES_PER_SECOND": "1", "WARREN_PERSON_MESSAGES_BURST": "5",
    "WARREN_TYPING_PER_SECOND": "1", "WARREN_TYPING_BURST": "5",
    "WARREN_PERSON_TYPING_PER_SECOND": "1", "WARREN_PERSON_TYPING_BURST": "5",
}  # fmt: skip


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[str]:
    """A gateway with small limits."""
    service = stack.extra("gateway", 6, **SMALL)
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()
    assert errors([service]) == []


@asynccontextmanager
async def following(
    transport: TransportName, gateway: str, token: str, room: str, address: str
) -> AsyncIterator[ScriptedClient]:
    """Follow a room."""
    async with connect_over(transport, gateway, token, address) as client:
        assert (await client.join(room))["type"] == "joined"
        yield client


async def turned_away(transport: TransportName, gateway: str, token: str, room: str, address: str) -> Frame:
    """Return the `bye` of who is one too many."""
    async with connect_over(transport, gateway, token, address) as client:
        await client.say(type="join", room=room)
        assert await client.closed() == 4029
        (bye,) = client.passed
        return bye


async def eventually(transport: TransportName, gateway: str, token: str, room: str, address: str) -> None:
    """Places are free again as soon as the gateway has noticed."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                async with following(transport, gateway, token, room, address):
                    return
            except (TransportClosed, InvalidStatus):
                await asyncio.sleep(0.2)


async def test_connections_of_a_person_are_counted_over_all_transports(small: str, place: Place) -> None:
    async with AsyncExitStack() as exits:
        for transport in TRANSPORTS:
            client = following(transport, small, place.ann.token, place.room, new_address())
            await exits.enter_async_context(client)
        for transport in TRANSPORTS:
            bye = await turned_away(transport, small, place.ann.token, place.room, new_address())
            assert (bye["type"], bye["code"], bye["after_ms"]) == ("bye", 4029, 30_000)
        async with following("sse", small, place.bob.token, place.room, new_address()):
            pass
    for transport in TRANSPORTS:
        await eventually(transport, small, place.ann.token, place.room, new_address())


async def served(gateway: str, transport: TransportName, number: int) -> None:
    """Wait until the gateway serves so many."""
    async with asyncio.timeout(LET_GO_WITHIN):
        while await metric(gateway, "warren_connections", transport=transport) != number:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # it counts once a second


async def test_who_goes_without_a_word_leaves_nothing_behind(
    transport: TransportName, small: str, place: Place, address: str
) -> None:
    """Their place is free for others of the same person, as often as one likes, and nothing of them is served."""
    for turn in range(4):
        async with AsyncExitStack() as exits:
            lost = [
                await exits.enter_async_context(following(transport, small, place.ann.token, place.room, address))
                for _ in range(PER_PERSON)
            ]
            if turn == 0:
                await served(small, transport, PER_PERSON)
            for client in lost:
                client.line.drop()
        await eventually(transport, small, place.ann.token, place.room, address)
    await served(small, transport, 0)


async def test_open_connections_of_an_address_are_counted_over_all_transports(
    small: str, place: Place, address: str
) -> None:
    async with AsyncExitStack() as exits:
        for transport in TRANSPORTS * (PER_ADDRESS // len(TRANSPORTS)):
            client = following(transport, small, new_person("ann").token, place.room, address)
            await exits.enter_async_context(client)
        for transport in ("sse", "polling"):
            bye = await turned_away(transport, small, place.bob.token, place.room, address)
            assert (bye["code"], bye["after_ms"]) == (4029, 30_000)
        with pytest.raises(InvalidStatus) as refused:
            await turned_away("websocket", small, place.bob.token, place.room, address)
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "30")
    for transport in TRANSPORTS:
        await eventually(transport, small, place.bob.token, place.room, address)


async def test_messages_are_limited_and_let_through_again(
    transport: TransportName, small: str, place: Place, address: str
) -> None:
    async with following(transport, small, place.ann.token, place.room, address) as ann:
        answers = [await ann.send(place.room, "x") for _ in range(5)]
        assert {answer["type"] for answer in answers} == {"ack"}
        async with asyncio.timeout(WITHIN):
            while (answer := await ann.send(place.room, "x", "once more"))["type"] == "ack":
                pass
        assert (answer["frame"], answer["code"], answer["room"]) == ("send", "too_many", place.room)
        assert (answer["temporary"], answer["retry_after"]) == (True, 1)
        await asyncio.sleep(answer["retry_after"])
        assert (await ann.send(place.room, "x", "once more"))["type"] == "ack"


async def test_typing_is_limited_too(transport: TransportName, small: str, place: Place, address: str) -> None:
    async with following(transport, small, place.ann.token, place.room, address) as ann:
        for _ in range(8):
            await ann.typing(place.room)
        error = await ann.expect("error")
        assert (error["frame"], error["code"], error["room"]) == ("typing", "too_many", place.room)
        assert (error["temporary"], error["retry_after"]) == (True, 1)


async def test_rooms_are_limited(transport: TransportName, small: str, place: Place, address: str) -> None:
    """A WebSocket can leave one and try again; a request that asks for too many is wrong."""
    async with following(transport, small, place.ann.token, place.room, address) as ann:
        for number in range(ROOMS - 1):
            await ann.say(type="join", room=f"none-{number}" if number else "@me")
        await ann.say(type="join", room="one-more")
        await ann.say(type="join", room="yet-another")
        error = await ann.expect("error", room="yet-another")
        assert error["code"] == ("too_many" if transport == "websocket" else "invalid")
        assert (await ann.send(place.room, "still here"))["type"] == "ack"


async def test_the_same_key_is_the_same_message_over_every_transport(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    async with AsyncExitStack() as exits:
        anns = [
            await exits.enter_async_context(connect_over(transport, gateway, place.ann.token))
            for transport, gateway in itertools.product(TRANSPORTS, gateways)
        ]
        for number, _ in enumerate(anns):
            turns = [*anns[number:], *anns[:number]]
            first = await turns[0].send(place.room, "first", f"k{number}")
            assert (first["type"], first["seq"], first["number"]) == ("ack", 3 + number, 1 + number)
            for ann in turns:
                assert await ann.send(place.room, "first", f"k{number}") == first
        at_once = await run_concurrently(*(ann.send(place.room, "at once", "k") for ann in anns))
        assert [answer == at_once[0] for answer in at_once] == [True] * len(anns)
    stored = read_store(stack.mongodb.url, [place.room])[place.room]
    assert [event["text"] for event in stored[2:]] == ["first"] * len(anns) + ["at once"]
