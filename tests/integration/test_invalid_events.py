"""Messages on `warren.events` that make no sense, of a newer or a broken replica: nobody misses anything by them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika
import httpx
import pytest
from harness.bots import until
from harness.broker_client import BrokerClient
from harness.concurrency import run_concurrently
from harness.observability import metric
from harness.scripted_client import connect, connect_over
from harness.stack import Stack
from harness.transport import TransportName
from integration.conftest import Place, new_place, seqs
from warren.contract.bundles import BUNDLE, BundledRun, write_bundle
from warren.contract.topology import COMMON_BUCKET, EVENTS, bucket, bundle_key, event_key

PREFETCH = 500
"""What a gateway has in hand at once and not acknowledged."""
BODY = b'{"type":"events","room":"%b","events":[]}'
GOOD = {"first": 3, "last": 3, "number": 1, "epoch": "e", "stored": 0}
HEADERS: dict[str, dict[str, Any]] = {
    "none": {},
    "no first": {name: value for name, value in GOOD.items() if name != "first"},
    "a first that is a text": {**GOOD, "first": "three"},
    "a last that is a list": {**GOOD, "last": [3]},
    "none at all": {**GOOD, "first": None},
    "backwards": {**GOOD, "first": 5},
    "before the beginning": {**GOOD, "first": 0, "last": 0},
    "ends that are no JSON": {**GOOD, "ends": "["},
    "ends that are numbers": {**GOOD, "ends": "[1]"},
    "ends of other events": {**GOOD, "ends": '[[9,"ann","member.left"]]'},
    "standings of a newer kind": {**GOOD, "standings": '[[3,"ann","member.left",{}]]'},
    "stored in another way": {**GOOD, "stored": "yesterday"},
}
Publish = Callable[..., Awaitable[None]]
GARBAGE = {
    "empty": b"",
    "no index": b"\xff\x00",
    "an index of nothing": b"{}\n",
    "other columns": b'{"epoch":"","stored":0,"rooms":["a"],"sizes":[1],"first":[1],"last":[],"number":[]}\n',
    "an index of more than there is": write_bundle("e", 0, [BundledRun("a", b"x", 1, 1, 1)])[:-1],
    "an index that is deep": b"[" * 50_000,
}


def made_up(room: str, epoch: str = "e", **place: Any) -> bytes:
    """Return a bundle of a run that there is none of."""
    good = BundledRun(room, BODY % room.encode(), 3, 3, 1)
    return write_bundle(epoch, 0, [BundledRun("no-room-of-anybody", b"{}", 9, 9, 9), good._replace(**place)])


@pytest.fixture
async def publish(stack: Stack, place: Place) -> AsyncIterator[Publish]:
    """Publish on `warren.events` as the persistence service does, which alone may."""
    async with await aio_pika.connect(stack.amqp_url("persistence")) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EVENTS, ensure=False)

        async def say(
            headers: dict[str, Any],
            body: bytes | None = None,
            key: str = event_key(place.room),
            kind: str | None = None,
        ) -> None:
            content = BODY % place.room.encode() if body is None else body
            await exchange.publish(aio_pika.Message(content, headers=headers, type=kind), key)

        yield say


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
async def test_one_with_strange_headers_is_passed_over(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish, headers: dict[str, Any]
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        await publish(headers)
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_bundle_that_is_none_costs_one_message_and_the_heads_are_compared(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish, body: bytes
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        failures = await metric(gateways[0], "warren_failures_total", what="events")
        await publish({}, body, bundle_key(bucket(place.room)), BUNDLE)
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]
        assert await metric(gateways[0], "warren_failures_total", what="events") == failures + 1


@pytest.mark.parametrize(
    "place_in_log", [{"first": 5}, {"first": 5, "last": 4}, {"ends": ((9, "ann", "member.left"),)}]
)
async def test_a_run_of_a_bundle_that_makes_no_sense_costs_its_room_a_comparison(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish, place_in_log: dict[str, Any]
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        failures = await metric(gateways[0], "warren_failures_total", what="events")
        await publish({}, made_up(place.room, **place_in_log), bundle_key(COMMON_BUCKET), BUNDLE)
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]
        assert await metric(gateways[0], "warren_failures_total", what="events") == failures + 1


async def test_a_bundle_of_a_room_that_is_not_like_that_is_read_from_the_store(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish
) -> None:
    """It is of another epoch, or of a place that the log does not reach."""
    async with connect(gateways[0], place.bob.token) as bob:
        epoch = (await bob.join(place.room, 2))["epoch"]
        await publish({}, made_up(place.room), bundle_key(bucket(place.room)), BUNDLE)
        await publish({}, made_up(place.room, epoch, first=1_000, last=1_000), bundle_key(COMMON_BUCKET), BUNDLE)
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]


async def test_more_of_them_than_a_gateway_has_in_hand_delay_nobody(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish
) -> None:
    strange = list(HEADERS.values())
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        failures = await metric(gateways[0], "warren_failures_total", what="events")
        for start in range(0, PREFETCH + 100, 100):
            await run_concurrently(*(publish(strange[number % len(strange)]) for number in range(start, start + 100)))
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]

        async def counted() -> bool:  # perhaps later: the first has the good one read from the store
            return await metric(gateways[0], "warren_failures_total", what="events") >= failures + PREFETCH

        await until(counted, 0.05)


async def test_one_of_a_room_that_nobody_follows_is_passed_over(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.join(place.room, 2)
        for headers in HEADERS.values():
            await publish(headers, key=f"ev.{bucket(place.room)}.no-room-of-anybody")
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]


async def test_events_that_there_are_none_of_hold_nobody_up(
    gateways: list[str], broker: BrokerClient, place: Place, publish: Publish
) -> None:
    """A replica that has heard of seq 1,000 asks the store, which has none, and believes it."""
    async with connect(gateways[0], place.bob.token) as bob:
        joined = await bob.join(place.room, 2)
        await publish({**GOOD, "first": 1_000, "last": 1_000, "epoch": joined["epoch"]})
        head = await broker.fill(place.room, place.ann.id, ["and on"])
        assert seqs(await bob.events(place.room, head)) == [3]
        async with connect(gateways[0], place.ann.token) as ann:
            assert (await ann.join(place.room))["head"] == head


async def test_a_room_that_fails_is_joined_anew_and_nothing_is_missed(
    transport: TransportName,
    http: httpx.AsyncClient,
    gateways: list[str],
    broker: BrokerClient,
    place: Place,
    publish: Publish,
) -> None:
    """Its headers say that somebody's reading ends, its body cannot be cut there. Other rooms notice nothing."""
    other = await new_place(http, gateways[0])
    async with (
        connect_over(transport, gateways[0], place.bob.token) as bob,
        connect(gateways[0], place.ann.token) as ann,
    ):
        epoch = (await bob.join(place.room, 2))["epoch"]
        await bob.join(other.room)
        await ann.join(place.room, 2)
        headers = {**GOOD, "last": 4, "epoch": epoch, "ends": json.dumps([[3, place.ann.id, "member.left"]])}
        given_up = await metric(gateways[0], "warren_failures_total", what="room")
        await publish(headers, b'{"type":"events","room":"%b","events":[{"seq":3}]}' % place.room.encode())
        error = await ann.expect("error", room=place.room)
        assert (error["frame"], error["code"], error["temporary"]) == ("join", "unavailable", True)
        assert await metric(gateways[0], "warren_failures_total", what="room") == given_up + 1
        if transport != "polling":  # which may have been between two polls
            assert (await bob.expect("error", room=place.room))["code"] == "unavailable"
        texts = ["one", "two", "three"]
        head = await broker.fill(place.room, place.ann.id, texts)
        assert (await ann.join(place.room, 2))["type"] == "joined"
        assert [event.get("text") for event in await ann.events(place.room, head)] == texts
        answers = [(await bob.join(place.room, 2))["type"]]
        if answers == ["error"]:  # the poll that waited was told so, too
            answers.append((await bob.join(place.room, 2))["type"])
        assert answers[-1] == "joined"
        assert [event.get("text") for event in await bob.events(place.room, head)] == texts
        await broker.fill(other.room, other.ann.id, ["here, too"])
        assert [event["text"] for event in await bob.events(other.room, 3)] == ["here, too"]
