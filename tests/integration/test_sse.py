"""Server-Sent Events as they are on the wire, and requests for them that make no sense."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from harness.broker_client import BrokerClient
from harness.raw_clients import RawRequest, raw_request
from harness.sse_transport import Event
from integration.conftest import Person, Place, new_person, new_place, seqs
from integration.test_invalid_requests import assert_problem


@asynccontextmanager
async def stream(gateway: str, who: Person, query: str, body: Any = None, **headers: str) -> AsyncIterator[RawRequest]:
    """Open a stream; by POST if there is a body."""
    method = "GET" if body is None else "POST"
    found = await raw_request(gateway, method, f"/v1/sse?{query}", who.token, body, headers=headers)
    try:
        assert await found.head() == 200
        yield found
    finally:
        found.abort()


async def until(request: RawRequest, kind: str, room: str | None = None) -> Event:
    """Return the next event of this type."""
    while True:
        event = await request.event()
        if event.kind == kind and (room is None or json.loads(event.data)["room"] == room):
            return event


async def test_a_stream_is_what_the_standard_says(
    http: httpx.AsyncClient, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    url = f"{gateways[0]}/v1/sse"
    query = {"room": [place.room, "none"], "cursor": ".0."}
    async with http.stream("GET", url, params=query, headers=place.bob.headers) as answer:
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
    async with stream(gateways[0], place.bob, f"room={place.room}&room=none&cursor=.0.") as bob:
        first = await bob.event()
        assert first.retry is not None
        assert 1_000 <= int(first.retry) <= 4_000
        welcome = await bob.event()
        assert (welcome.kind, welcome.id, json.loads(welcome.data)["ping"]) == ("welcome", None, 15)
        joined = await until(bob, "joined")
        epoch = json.loads(joined.data)["epoch"]
        assert joined.id == f"{epoch}.0."
        assert (await until(bob, "events")).id == f"{epoch}.2."
        await broker.fill(place.room, place.ann.id, ["live"])
        live = await until(bob, "events")
        assert (live.id, seqs(json.loads(live.data)["events"])) == (f"{epoch}.3.", [3])


async def test_the_id_of_the_last_event_is_where_to_go_on_in_every_room(
    http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient
) -> None:
    places = [await new_place(http, gateways[0]) for _ in range(3)]
    rooms = [place.room for place in places]
    query = "&".join(f"room={room}" for room in rooms)
    read: dict[str, list[int]] = {room: [] for room in rooms}
    last: str | None = None
    for turn in range(6):
        for place in places:
            await broker.fill(place.room, place.ann.id, [f"{turn}.{part}" for part in range(20)])
        headers = {"Last-Event-ID": ".2.2.2" if last is None else last}
        goal = 2 + 20 * (turn + 1) - 3  # leaves in the middle of things
        async with stream(gateways[turn % 2], places[0].eve, query, **headers) as eve:
            while any(not seen or seen[-1] < goal for seen in read.values()):
                event = await eve.event()
                last = event.id or last
                if event.kind == "events":
                    frame = json.loads(event.data)
                    read[frame["room"]] += seqs(frame["events"])
                assert event.kind != "joined" or json.loads(event.data)["reset"] is False
    for seen in read.values():
        assert seen == list(range(3, 3 + len(seen)))


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("cursor=.1", {}, [2, 3]),
        ("cursor=.2", {"Last-Event-ID": ".1"}, [2, 3]),
        ("cursor=.1", {"Last-Event-ID": ".2"}, [3]),
        ("cursor=.", {"Last-Event-ID": ".0"}, [1, 2, 3]),
    ],
)
async def test_the_last_event_id_goes_before_the_cursor(
    gateways: list[str], place: Place, broker: BrokerClient, query: str, headers: Mapping[str, str], expected: list[int]
) -> None:
    await broker.fill(place.room, place.ann.id, ["x"])
    async with stream(gateways[0], place.bob, f"room={place.room}&{query}", **headers) as bob:
        found: list[int] = []
        while len(found) < len(expected):
            found += seqs(json.loads((await until(bob, "events")).data)["events"])
        assert found == expected


@pytest.mark.parametrize("epoch", ["-", "another"])
async def test_an_epoch_that_is_not_this_one_resets_every_room(
    http: httpx.AsyncClient, gateways: list[str], place: Place, epoch: str
) -> None:
    other = await new_place(http, gateways[0])
    query = f"room={place.room}&room={other.room}&cursor={epoch}.1.2"
    async with stream(gateways[0], place.bob, query) as bob:
        for _ in range(2):
            joined = await until(bob, "joined")
            assert json.loads(joined.data)["reset"] is True
        epoch = json.loads(joined.data)["epoch"]
        assert joined.id == f"{epoch}.2.2"


async def test_rooms_of_a_post_are_rooms_of_an_address(
    http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    """And there can be as many as one may have."""
    other = await new_place(http, gateways[0])
    unknown: dict[str, Any] = {f"none-{'x' * 50}-{number}": {} for number in range(198)}
    rooms = {place.room: {"since": 0}, **unknown, other.room: {}}
    async with stream(gateways[0], place.bob, "", {"cursors": rooms, "status": "away"}) as bob:
        told: dict[str, list[str]] = {room: [] for room in rooms}
        while not all(told.values()):
            event = await bob.event()
            if event.kind in ("joined", "error", "events"):
                told[json.loads(event.data)["room"]].append(event.kind)
        assert {told[room][0] for room in unknown} == {"error"}
        assert [told[place.room][0], told[other.room][0]] == ["joined", "joined"]
    async with stream(gateways[1], place.bob, "", {"cursors": {other.room: {"since": 1}, place.room: {}}}) as bob:
        event = await until(bob, "events", other.room)
        assert event.id is not None
        assert event.id.split(".")[1] == "2"


BOB = new_person("bob")
BAD: dict[str, str] = {
    "no room": "",
    "an empty room": "room=",
    "a room in capitals": "room=General",
    "a room with a dot": "room=a.b",
    "a room with a line break": "room=a%0A",
    "a room of 65 characters": "room=" + "a" * 65,
    "a room that is no UTF-8": "room=%FF",
    "a room twice": "room=a&room=b&room=a",
    "more rooms than one may have": "&".join(f"room=r{number}" for number in range(201)),
    "a cursor of fewer rooms": "room=a&room=b&cursor=e.1",
    "a cursor of more rooms": "room=a&cursor=e.1.2",
    "a cursor without a seq": "room=a&cursor=e",
    "an empty cursor": "room=a&cursor=",
    "a cursor with a negative seq": "room=a&cursor=e.-1",
    "a cursor with a fraction": "room=a&cursor=e.1%2E5",
    "a seq of a script that has digits, too": "room=a&cursor=e.%D9%A1",
    "a seq of 20 digits": "room=a&cursor=e." + "9" * 20,
    "an epoch of 65 characters": "room=a&cursor=" + "e" * 65 + ".1",
    "an epoch with a line break": "room=a&cursor=e%0Aid: x.1",
    "a cursor that ends in a line break": "room=a&cursor=e.1%0A",
    "a status that is none": "room=a&status=asleep",
}


@pytest.mark.parametrize("query", BAD.values(), ids=BAD.keys())
async def test_what_makes_no_sense_is_a_problem(http: httpx.AsyncClient, gateways: list[str], query: str) -> None:
    assert_problem(await http.get(f"{gateways[0]}/v1/sse?{query}", headers=BOB.headers), 422, "invalid")


@pytest.mark.parametrize("said", ["e.1.2", "e", "", "e.x", "\N{LATIN SMALL LETTER E WITH ACUTE}.1"])
async def test_a_last_event_id_that_is_none_is_a_problem(
    http: httpx.AsyncClient, gateways: list[str], said: str
) -> None:
    headers = {**{name.encode(): value.encode() for name, value in BOB.headers.items()}}
    headers[b"Last-Event-ID"] = said.encode()
    answer = await http.get(f"{gateways[0]}/v1/sse?room=a", headers=headers)
    assert_problem(answer, 422, "invalid")


CURSORS: dict[str, Any] = {
    "nothing": None,
    "an array": [],
    "no cursors": {},
    "no room": {"cursors": {}},
    "a room that is none": {"cursors": {"General": {}}},
    "a cursor that is a number": {"cursors": {"a": 1}},
    "a cursor that is null": {"cursors": {"a": None}},
    "a negative since": {"cursors": {"a": {"since": -1}}},
    "a since in quotes": {"cursors": {"a": {"since": "1"}}},
    "a since beyond all numbers": {"cursors": {"a": {"since": 2**53}}},
    "an epoch of 65 characters": {"cursors": {"a": {"epoch": "e" * 65}}},
    "an unknown field of a cursor": {"cursors": {"a": {"extra": 1}}},
    "an unknown field": {"cursors": {"a": {}}, "extra": 1},
    "more rooms than one may have": {"cursors": {f"r{number}": {} for number in range(201)}},
    "a status that is none": {"cursors": {"a": {}}, "status": "asleep"},
}
"""Bodies that neither a stream nor a poll is opened with."""


@pytest.mark.parametrize("path", ["sse", "poll"])
@pytest.mark.parametrize("body", CURSORS.values(), ids=CURSORS.keys())
async def test_a_body_that_makes_no_sense_is_a_problem(
    http: httpx.AsyncClient, gateways: list[str], path: str, body: Any
) -> None:
    answer = await http.post(f"{gateways[0]}/v1/{path}", json=body, headers=BOB.headers)
    assert_problem(answer, 422, "invalid")


@pytest.mark.parametrize(("method", "path"), [("PUT", "sse"), ("DELETE", "sse"), ("GET", "poll"), ("DELETE", "poll")])
async def test_other_methods_are_not_spoken(
    http: httpx.AsyncClient, gateways: list[str], method: str, path: str
) -> None:
    answer = await http.request(method, f"{gateways[0]}/v1/{path}", headers=BOB.headers)
    assert_problem(answer, 405, "invalid")


async def test_a_client_that_goes_on_talking_on_a_stream_s_connection_harms_nobody(
    gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    """A pipeline: the next request waits until the stream has ended, which it does with its connection."""
    async with stream(gateways[0], place.bob, f"room={place.room}&cursor=.2") as bob:
        await until(bob, "joined")
        for _ in range(100):
            await bob.push(b"GET /v1/me HTTP/1.1\r\nHost: gateway\r\n\r\n")
        await broker.fill(place.room, place.ann.id, ["x"])
        with contextlib.suppress(OSError, EOFError):
            assert seqs(json.loads((await until(bob, "events")).data)["events"]) == [3]
