"""Every transport: nothing that a client is given is larger than `limits.server_frame_bytes`, whatever is in it.

The clients of these tests have that bound, like all of the harness: a larger frame closes the WebSocket with 1009,
and a stream's event or a poll's answer fails the test.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import httpx
import pytest
from harness.broker_client import BrokerClient, connect_broker
from harness.http_transport import http_client
from harness.scripted_client import connect, connect_over
from harness.stack import Stack
from harness.transport import FRAME_BYTES, TransportName
from integration.conftest import Place, new_place, seqs
from integration.test_conformance_order import both, come_up
from warren.contract.topology import EVENTS, event_key

HEAVY = [f"{number} ".ljust(3_999, "\x01") for number in range(60)]
"""Six bytes a character: 1.4 MB as JSON."""
AT_ONCE = 20
"""Of them, in one message to the writer."""


async def fill(broker: BrokerClient, place: Place) -> int:
    """Have all of it said; return the head."""
    starts = range(0, len(HEAVY), AT_ONCE)
    return [await broker.fill(place.room, place.ann.id, HEAVY[start : start + AT_ONCE]) for start in starts][-1]


@pytest.fixture(scope="module")
async def heavy(stack: Stack) -> AsyncIterator[Place]:
    """A room in which all of it has been said."""
    async with http_client() as http, connect_broker(stack.amqp_url("gateway")) as broker:
        place = await new_place(http, stack.gateways[0].url)
        await fill(broker, place)
        yield place


async def test_the_bound_is_told(http: httpx.AsyncClient, gateways: list[str], place: Place) -> None:
    async with connect(gateways[0]) as ann:
        welcome = await ann.ask("welcome", type="hello", token=place.ann.token)
    me = await http.get(f"{gateways[0]}/v1/me", headers=place.ann.headers)
    assert welcome["limits"]["server_frame_bytes"] == me.json()["limits"]["server_frame_bytes"] == FRAME_BYTES


async def test_what_happens_comes_in_frames_that_fit(
    transport: TransportName, gateways: list[str], broker: BrokerClient, place: Place
) -> None:
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        events = await bob.events(place.room, await fill(broker, place))
        assert [event["text"] for event in events] == HEAVY


@both
async def test_what_was_missed_comes_in_frames_that_fit(
    transport: TransportName, gateways: list[str], heavy: Place, back: int
) -> None:
    await come_up(gateways[back], heavy)
    async with connect_over(transport, gateways[back], heavy.bob.token) as bob:
        assert (await bob.join(heavy.room, 2))["reset"] is False
        events = await bob.events(heavy.room, 2 + len(HEAVY))
        assert [event["text"] for event in events] == HEAVY


async def page(http: httpx.AsyncClient, url: str, place: Place, **query: Any) -> dict[str, Any]:
    answer = await http.get(url, headers=place.bob.headers, params=query)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= FRAME_BYTES
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("notes", [False, True])
async def test_pages_of_history_fit_too_and_say_that_there_is_more(
    http: httpx.AsyncClient, gateways: list[str], heavy: Place, notes: bool
) -> None:
    url = f"{gateways[0]}/v1/rooms/{heavy.room}/messages"
    query = {"limit": 100, "notes": notes}
    found: list[dict[str, Any]] = []
    back = await page(http, url, heavy, **query)
    while True:
        found = back["messages"] + found
        if not back["more"]:
            break
        back = await page(http, url, heavy, before=found[0]["seq"], **query)
    assert [message["text"] for message in found] == HEAVY
    assert [note["seq"] for note in back["notes"]] == ([1, 2] if notes else [])
    found = []
    forward = await page(http, url, heavy, after=0, **query)
    while True:
        found += forward["messages"]
        if not forward["more"]:
            break
        forward = await page(http, url, heavy, after=found[-1]["seq"], **query)
    assert [message["text"] for message in found] == HEAVY


async def test_pages_of_the_log_fit_too(http: httpx.AsyncClient, gateways: list[str], heavy: Place) -> None:
    url, read = f"{gateways[1]}/v1/rooms/{heavy.room}/events", 0
    while read < 2 + len(HEAVY):
        found = (await page(http, url, heavy, after=read))["events"]
        assert seqs(found) == list(range(read + 1, read + 1 + len(found)))
        read += len(found)


async def test_a_larger_message_of_another_version_comes_in_frames_that_fit(
    transport: TransportName, gateways: list[str], stack: Stack, place: Place
) -> None:
    """Until the last replica of a roll-out is a new one, there are messages of many events however long."""
    events = [
        {
            "seq": seq, "type": "message", "number": seq - 2, "id": f"i{seq}", "sender": place.ann.id, "name": "Ann",
            "key": f"k{seq}", "at": "2026-11-22T18:28:23.241Z", "text": HEAVY[seq],
        }
        for seq in range(3, 19)
    ]  # fmt: skip
    body = json.dumps({"type": "events", "room": place.room, "events": events}, separators=(",", ":")).encode()
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room)
        headers = {"first": 3, "last": 18, "number": 16, "epoch": joined["epoch"], "stored": 0}
        async with await aio_pika.connect(stack.amqp_url("persistence")) as writer:
            exchange = await (await writer.channel()).get_exchange(EVENTS, ensure=False)
            await exchange.publish(aio_pika.Message(body, headers=headers), event_key(place.room))
        assert await bob.events(place.room, 18) == events
