"""Polls as they are on the wire: nothing counts as received until its cursor comes back."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness.broker_client import BrokerClient
from harness.concurrency import run_concurrently
from harness.observability import errors
from harness.resilient_client import fresh_room, make_room
from harness.scripted_client import connect
from harness.stack import Stack
from harness.transport import FRAME_BYTES
from integration.conftest import Person, Place, new_person, new_place, seqs
from integration.test_conformance_order import LONG
from integration.test_invalid_requests import assert_problem
from warren_gateway.rooms.replica import RING_EVENTS

WAIT = 25
WITHIN = 60.0
"""Seconds for a gateway to be ready; a bound, not an expectation."""
BOB = new_person("bob")
Cursors = dict[str, dict[str, Any]]


class Poller:
    """Somebody who polls by hand."""

    def __init__(self, http: httpx.AsyncClient, gateway: str, who: Person) -> None:
        self.http = http
        self.url = f"{gateway}/v1/poll"
        self.who = who

    async def poll(self, cursors: Cursors, wait: float = 0, **fields: Any) -> dict[str, Any]:
        """Poll once."""
        body = {"cursors": cursors, "wait": wait, **fields}
        answer = await self.http.post(self.url, json=body, headers=self.who.headers)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) <= FRAME_BYTES
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def bob(http: httpx.AsyncClient, gateways: list[str], place: Place) -> Poller:
    return Poller(http, gateways[0], place.bob)


async def test_an_answer_says_where_the_rooms_stand(bob: Poller, place: Place) -> None:
    answer = await bob.poll({place.room: {}})
    news = answer["rooms"][place.room]
    epoch = news.get("epoch", "none")
    assert news == {"epoch": epoch, "head": 2, "number": 0, "read": 0, "reset": False}
    assert answer["cursors"] == {place.room: {"since": 2, "epoch": epoch}}
    assert await bob.poll(answer["cursors"]) == {"rooms": {}, "cursors": answer["cursors"]}


async def test_an_answer_that_got_lost_comes_again(bob: Poller, place: Place, broker: BrokerClient) -> None:
    cursors: Cursors = {place.room: {"since": 2}}
    await broker.fill(place.room, place.ann.id, ["one"])
    lost = await bob.poll(cursors, WAIT)
    assert seqs(lost["rooms"][place.room]["events"]) == [3]
    assert await bob.poll(cursors, WAIT) == lost
    await broker.fill(place.room, place.ann.id, ["two"])
    assert seqs((await bob.poll(lost["cursors"], WAIT))["rooms"][place.room]["events"]) == [4]
    events: list[int] = []
    while events[-1:] != [4]:
        events = seqs((await bob.poll(cursors, WAIT))["rooms"][place.room]["events"])
    assert events == [3, 4]


async def test_who_waits_is_answered_as_soon_as_there_is_something(
    bob: Poller, http: httpx.AsyncClient, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    other = await new_place(http, gateways[0])
    cursors = (await bob.poll({place.room: {}, other.room: {}}))["cursors"]
    for room, author in ((place.room, place.ann), (other.room, other.ann)) * 3:
        waiting = asyncio.create_task(bob.poll(cursors, WAIT))
        await asyncio.sleep(0.05)  # most of the time it waits already
        assert not waiting.done()
        began = time.monotonic()
        await broker.fill(room, author.id, ["x"])
        answer = await waiting
        assert time.monotonic() - began < WAIT / 2
        assert {room: seqs(news["events"]) for room, news in answer["rooms"].items()} == {
            room: [cursors[room]["since"] + 1]
        }
        assert {name: cursor["since"] for name, cursor in answer["cursors"].items()} == {
            name: cursor["since"] + (name == room) for name, cursor in cursors.items()
        }
        cursors = answer["cursors"]


async def test_who_has_nothing_to_hear_is_answered_in_the_end(bob: Poller, place: Place) -> None:
    cursors = (await bob.poll({place.room: {}}))["cursors"]
    began = time.monotonic()
    assert await bob.poll(cursors, 0.5) == {"rooms": {}, "cursors": cursors}
    assert time.monotonic() - began >= 0.5


async def test_the_rest_of_a_long_replay_is_in_the_next_answers(
    http: httpx.AsyncClient, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    """Whichever gateway gives them; two rooms share the room that there is."""
    other = await new_place(http, gateways[0])
    texts = LONG[:300]
    for each in (place, other):
        await broker.fill(each.room, each.ann.id, texts)
    pollers = [Poller(http, gateway, place.bob) for gateway in gateways]
    cursors: Cursors = {place.room: {"since": 2}, other.room: {"since": 2}}
    read: dict[str, list[str]] = {place.room: [], other.room: []}
    polls = 0
    while any(len(found) < len(texts) for found in read.values()):
        answer = await pollers[polls % 2].poll(cursors, WAIT)
        assert answer["rooms"]
        for room, news in answer["rooms"].items():
            events = news["events"]
            assert seqs(events) == list(range(cursors[room]["since"] + 1, answer["cursors"][room]["since"] + 1))
            read[room] += [event["text"] for event in events]
        cursors = answer["cursors"]
        polls += 1
    assert polls >= 3
    assert read == {place.room: texts, other.room: texts}


async def test_rooms_that_one_may_not_read_have_no_cursor(
    http: httpx.AsyncClient, bob: Poller, place: Place, private: Place
) -> None:
    answer = await bob.poll({place.room: {}, private.room: {}, "none": {"since": 3}}, WAIT)
    assert answer["cursors"].keys() == {place.room}
    assert answer["rooms"][private.room] == answer["rooms"]["none"]
    assert answer["rooms"]["none"]["error"].keys() == {"code", "detail", "temporary"}
    assert answer["rooms"]["none"]["error"]["code"] == "not_found"


async def test_who_does_not_ask_is_not_told_who_is_here(
    http: httpx.AsyncClient, gateways: list[str], bob: Poller, place: Place
) -> None:
    """And who knows is not told again: what is known is in the cursor."""
    async with connect(gateways[0], place.ann.token) as ann:
        await ann.join(place.room)
        await ann.expect("presence")
        first = await bob.poll({place.room: {"presence": ""}})
        known = first["cursors"]
        while {one["user"] for one in first["rooms"].get(place.room, {}).get("presence", {}).get("state", ())} != {
            place.ann.id,
            place.bob.id,
        }:
            first = await bob.poll(known, WAIT)
            known = first["cursors"]
        assert known[place.room]["presence"]
        assert await bob.poll(known, 0.7) == {"rooms": {}, "cursors": known}
        without = {place.room: {name: known[place.room][name] for name in ("since", "epoch")}}
        await ann.status("away")
        assert await bob.poll(without, 0.7) == {"rooms": {}, "cursors": without}
        told = (await bob.poll(known, WAIT))["rooms"][place.room]["presence"]
        assert {one["user"]: one["status"] for one in told["state"]} == {place.ann.id: "away", place.bob.id: "online"}


@pytest.mark.parametrize("wait", [-1, 30.1, "1", None, True, [1], 1e400])
async def test_a_wait_that_is_none_is_a_problem(http: httpx.AsyncClient, gateways: list[str], wait: Any) -> None:
    body = f'{{"cursors":{{"a":{{}}}},"wait":{"1e400" if wait == 1e400 else json.dumps(wait)}}}'
    headers = {**BOB.headers, "Content-Type": "application/json"}
    assert_problem(await http.post(f"{gateways[0]}/v1/poll", content=body, headers=headers), 422, "invalid")


@pytest.mark.parametrize("known", ["x" * 65, 1, ["x"]])
async def test_what_is_known_of_presence_is_a_short_text(
    http: httpx.AsyncClient, gateways: list[str], known: Any
) -> None:
    body = {"cursors": {"a": {"presence": known}}, "wait": 0}
    assert_problem(await http.post(f"{gateways[0]}/v1/poll", json=body, headers=BOB.headers), 422, "invalid")


@pytest.mark.parametrize("known", ["x", "00000000-0", "-", "\N{RABBIT}", "99999999-999999"])
async def test_what_nobody_ever_told_is_not_known(bob: Poller, place: Place, known: str) -> None:
    cursors = {place.room: {"since": 2, "presence": known}}
    async with asyncio.timeout(WAIT * 2):
        while "presence" not in (answer := await bob.poll(cursors, WAIT))["rooms"].get(place.room, {}):
            pass
    assert answer["rooms"][place.room]["presence"]["state"]


async def test_many_who_poll_at_once_and_leave_cost_nothing_that_stays(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    """Each abandons poll after poll, in whatever state it is; who polls on misses nothing."""
    reader = Poller(http, gateways[0], new_person("reader"))
    cursors: Cursors = {place.room: {"since": 2}}

    async def leave(number: int) -> None:
        waiting = asyncio.create_task(Poller(http, gateways[0], place.bob).poll({place.room: {"since": 0}}, WAIT))
        await asyncio.sleep(number / 2_000)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    read: list[int] = []
    for turn in range(5):
        await run_concurrently(*(leave(number) for number in range(40)))
        head = await broker.fill(place.room, place.ann.id, [f"{turn}"])
        while read[-1:] != [head]:
            answer = await reader.poll(cursors, WAIT)
            read += seqs(answer["rooms"][place.room]["events"])
            cursors = answer["cursors"]
    assert read == list(range(3, head + 1))


# What it costs to be let in.

JOINS = 30
"""Rooms that one may ask to follow at once on the gateway below, where it has to ask the store."""


@pytest.fixture(scope="module")
def strict(stack: Stack) -> Iterator[str]:
    """A gateway that asks the store for hardly anybody."""
    joins = {"WARREN_PERSON_JOINS_PER_SECOND": "0.01", "WARREN_PERSON_JOINS_BURST": str(JOINS)}
    service = stack.extra("gateway", 8, **joins)
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()
    assert errors([service]) == []


async def test_who_goes_on_at_the_last_answers_places_costs_nothing_and_who_asks_for_rooms_is_limited(
    strict: str, http: httpx.AsyncClient, place: Place
) -> None:
    rooms = [place.room]
    for _ in range(4):
        rooms.append(fresh_room("poll"))
        await make_room(http, strict, rooms[-1], place.ann.token)

    async def poll(headers: dict[str, str], cursors: dict[str, Any]) -> httpx.Response:
        return await http.post(f"{strict}/v1/poll", json={"cursors": cursors, "wait": 0}, headers=headers)

    async def device() -> None:
        """Poll for many times the rooms that one may have looked up."""
        cursors: dict[str, Any] = {room: {} for room in rooms}
        for _ in range(4 * JOINS // len(rooms)):
            answer = await poll(place.ann.headers, cursors)
            assert answer.status_code == 200, answer.text
            cursors = answer.json()["cursors"]
            assert set(cursors) == set(rooms)

    await run_concurrently(device(), device())
    unknown: dict[str, Any] = {f"nowhere-{number}": {} for number in range(JOINS + 10)}
    first = await poll(place.eve.headers, unknown)
    assert (first.status_code, len(first.json()["rooms"])) == (200, len(unknown))
    over_http = [
        await poll(place.eve.headers, unknown),
        await http.post(f"{strict}/v1/sse", json={"cursors": unknown}, headers=place.eve.headers),
        await http.get(f"{strict}/v1/sse", params={"room": [place.room]}, headers=place.eve.headers),
    ]
    for response in over_http:
        assert (response.status_code, response.json()["code"]) == (429, "too_many")
        assert int(response.headers["retry-after"]) > 1
    async with connect(strict, place.eve.token) as eve:
        error = await eve.error(type="join", room=place.room)
        assert (error["code"], error["temporary"]) == ("too_many", True)
        assert error["retry_after"] > 1
        await eve.ask("pong", type="ping")
    await device()  # nobody else notices


async def test_who_goes_back_to_what_only_the_store_has_pays_for_it(
    strict: str, http: httpx.AsyncClient, place: Place, broker: BrokerClient
) -> None:
    """Up to 248 KB are read for each room each time, however well it is known how one stands there."""
    texts = ["before anybody followed the room there"] * (RING_EVENTS + 10)  # or the replica would keep what was read
    head = await broker.fill(place.room, place.ann.id, texts)

    async def poll(since: int) -> int:
        body = {"cursors": {place.room: {"since": since}}, "wait": 0}
        return (await http.post(f"{strict}/v1/poll", json=body, headers=place.bob.headers)).status_code

    assert {await poll(2) for _ in range(JOINS)} == {200}
    assert 429 in {await poll(2) for _ in range(JOINS)}
    assert await poll(head) == 200
