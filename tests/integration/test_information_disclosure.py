"""Unknown and forbidden look the same: rooms that are none of one's business, tried by every way in that there is."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pymongo
import pytest
from harness.broker_client import BrokerClient, connect_broker, send_command
from harness.observability import until
from harness.resilient_client import fresh_room
from harness.scripted_client import connect
from harness.stack import Stack
from integration.conftest import Person, become_known, new_place
from pymongo.database import Database
from warren.contract.ids import direct_room, inbox_room

HIDDEN = ("private", "direct", "inbox")
VALUES = {"user": "somebody", "seq": "1", "emoji": "x"}
"""What stands for the other parameters in a path."""
BODIES: dict[tuple[str, str], list[Any]] = {
    ("post", "/v1/rooms/{room}/messages"): [{"text": "hi"}, {"text": "hi", "reply_to": 1}],
    ("patch", "/v1/rooms/{room}"): [{"title": "T"}, {"archived": True}, {"archived": False}],
    ("put", "/v1/rooms/{room}/members/{user}"): [None, {"role": "owner"}],
    ("put", "/v1/rooms/{room}/bans/{user}"): [None, {"reason": "none"}],
    ("put", "/v1/rooms/{room}/mutes/{user}"): [None, {"reason": "none"}],
}
QUERIES: dict[tuple[str, str], list[str]] = {
    ("get", "/v1/rooms/{room}/messages"): ["", "?before=2", "?after=0", "?limit=1"],
    ("get", "/v1/rooms/{room}/members"): ["", "?state=invited", "?state=banned"],
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Rooms of ann and bob with something in them, by kind; eve knows their ids and has no part in them."""

    rooms: dict[str, str]
    ann: Person
    bob: Person
    eve: Person
    text: str


@pytest.fixture
async def secret(http: httpx.AsyncClient, gateways: list[str]) -> Secrets:
    place = await new_place(http, gateways[0], "private")
    found = Secrets(
        {
            "private": place.room,
            "direct": direct_room(place.ann.id, place.bob.id),
            "inbox": inbox_room(place.bob.id),
        },
        place.ann,
        place.bob,
        place.eve,
        fresh_room("whisper"),
    )
    await become_known(http, gateways[0], place.bob)
    for method, path, body, who in (
        ("POST", "direct", {"user": place.bob.id}, place.ann),
        ("POST", f"rooms/{found.rooms['direct']}/messages", {"text": found.text}, place.ann),
        ("POST", f"rooms/{place.room}/messages", {"text": found.text}, place.ann),
        ("PUT", f"rooms/{place.room}/members/{place.bob.id}", None, place.ann),
    ):
        answer = await http.request(method, f"{gateways[0]}/v1/{path}", json=body, headers=who.headers)
        assert answer.is_success, answer.text
    return found


def attempts(document: dict[str, Any], room: str) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and body of every way in that the API's own document names, filled in with `room`."""
    for template, methods in document["paths"].items():
        if "{room}" not in template:
            continue
        path = re.sub(r"\{(\w+)\}", lambda match: {**VALUES, "room": room}[match[1]], template)
        for method in methods:
            for query in QUERIES.get((method, template), [""]):
                for body in BODIES.get((method, template), [None]):
                    yield method.upper(), path + query, body


def seen(answer: httpx.Response, room: str) -> tuple[int, str, dict[str, str]]:
    """Return all that an answer shows, but the room that it was asked for and when."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status_code, answer.text.replace(room, "ROOM"), headers


@pytest.mark.parametrize("kind", HIDDEN)
async def test_every_endpoint(kind: str, secret: Secrets, http: httpx.AsyncClient, gateways: list[str]) -> None:
    document = (await http.get(f"{gateways[0]}/openapi.json")).json()
    hidden, unknown = secret.rooms[kind], "nobodys"
    if kind != "private":  # as long, and of the same syntax
        unknown = hidden[:3] + "0" * (len(hidden) - 3)
    tried = 0
    ways = zip(attempts(document, hidden), attempts(document, unknown), strict=True)
    for number, ((method, path, body), (_, other, _)) in enumerate(ways):
        gateway = gateways[number % len(gateways)]
        one = await http.request(method, gateway + path, json=body, headers=secret.eve.headers)
        two = await http.request(method, gateway + other, json=body, headers=secret.eve.headers)
        assert seen(one, hidden) == seen(two, unknown), (method, path)
        assert one.status_code == 404, (method, path, one.text)
        tried += 1
    assert tried >= 18


@pytest.mark.parametrize("kind", HIDDEN)
async def test_every_query_on_the_broker(kind: str, secret: Secrets, broker: BrokerClient) -> None:
    """As a gateway asks on eve's behalf."""
    hidden = secret.rooms[kind]
    for query in (
        {"type": "room.access"},
        {"type": "events", "after": 0},
        {"type": "history"},
        {"type": "history", "after": 0},
        {"type": "members"},
        {"type": "members", "state": "banned"},
    ):
        asked = [await broker.ask({**query, "room": room, "user": secret.eve.id}) for room in (hidden, "nobodys")]
        assert asked[0] == asked[1] == {"type": "denied", "code": "not_found", "detail": "no such room"}
    pairs = [{"room": room, "user": secret.eve.id} for room in (hidden, "nobodys")]
    accesses = await broker.ask({"type": "room.accesses", "queries": pairs})
    assert accesses["answers"] == [{"type": "denied", "code": "not_found", "detail": "no such room"}] * 2
    heads = await broker.ask({"type": "heads", "rooms": [hidden], "user": secret.eve.id})
    assert heads["heads"] == {}
    whose = secret.bob if kind == "inbox" else secret.ann
    heads = await broker.ask({"type": "heads", "rooms": [hidden, "nobodys"], "user": whose.id})
    assert set(heads["heads"]) == {hidden}


async def test_no_list_and_no_search_names_them(
    secret: Secrets, http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient
) -> None:
    paths = ["rooms", "directory?limit=100", "people?q=ann", "people?q=bob", "rooms/@me/messages"]
    told = "".join([(await http.get(f"{gateways[0]}/v1/{path}", headers=secret.eve.headers)).text for path in paths])
    for hidden in (*secret.rooms.values(), secret.text):
        assert hidden not in told
    directory = await broker.ask({"type": "directory", "user": secret.eve.id, "limit": 100, "after": "scene-"})
    assert not set(secret.rooms.values()) & {entry["room"] for entry in directory["rooms"]}


async def test_what_was_forbidden_once_is_not_remembered_as_allowed(
    secret: Secrets, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Members use the room on the same gateway, at the same moment: what it keeps of a room is not for everybody."""
    for kind in ("private", "direct"):
        room = secret.rooms[kind]
        async with (
            connect(gateways[0], secret.ann.token) as ann,
            connect(gateways[0], secret.eve.token) as eve,
        ):
            await ann.join(room, since=0)
            assert (await eve.join(room, since=0))["code"] == "not_found"
            sent = await ann.send(room, secret.text)
            await ann.events(room, sent["seq"])
            assert await eve.quiet() == []


READS = [
    ("GET", "messages", None),
    ("GET", "members", None),
    ("GET", "", None),
    ("POST", "messages", {"text": "hi"}),
    ("PUT", "members/me", None),
    ("DELETE", "members/somebody", None),
]


@pytest.mark.parametrize(("method", "path", "body"), READS)
async def test_it_takes_the_same_work_to_say_no(
    method: str, path: str, body: Any, stack: Stack, secret: Secrets, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """What takes the same reads of the database takes as long; seconds on a clock would prove less, and less surely.

    Twice each: what a first refusal left in a cache must not tell either.
    """
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(stack.mongodb.url)
    with client:
        database = client.get_default_database()
        work = {}
        for room in (secret.rooms["private"], "nobodys-" + secret.text):
            await at_rest(database, room)
            database.command("profile", 2)
            try:
                for _ in range(2):
                    url = f"{gateways[0]}/v1/rooms/{room}/{path}".rstrip("/")
                    await http.request(method, url, json=body, headers=secret.eve.headers)
            finally:
                database.command("profile", 0)
            found = database["system.profile"].find({"appName": "warren-persistence"})
            work[room] = sorted(operation(entry) for entry in found if room in repr(entry))
            database.drop_collection("system.profile")
    one, two = work.values()
    assert one == two
    assert one


async def at_rest(database: Database[dict[str, Any]], room: str) -> None:
    """Wait until the writer has done all that follows from what the room holds."""
    left = {"room": room, "$or": [{"unprojected": True}, {"unsent": True}]}
    await asyncio.to_thread(until, lambda: database["events"].find_one(left) is None)


def operation(entry: dict[str, Any]) -> str:
    """Return which operation of the store it was."""
    command = entry["command"]
    shape = sorted(command.get("filter", {}) or command.get("q", {}) or [repr(command.get("pipeline", [{}])[0].keys())])
    return f"{entry['op']} {entry['ns']} {shape}"


async def test_the_broker_answers_nobody_else_on_anybodys_behalf(stack: Stack, secret: Secrets) -> None:
    """Whoever may publish queries but is no gateway gets answers for itself alone."""
    async with connect_broker(stack.rabbitmq.url) as operator:
        room = secret.rooms["private"]
        for asker in (secret.ann.id, None):
            for query in ({"type": "events", "room": room, "after": 0}, {"type": "heads", "rooms": [room]}):
                answer = await operator.ask({**query, "user": asker})
                assert (answer["type"], answer["code"]) == ("denied", "forbidden")
        own = await operator.ask({"type": "events", "room": room, "after": 0, "user": operator.user})
        assert (own["type"], own["code"]) == ("denied", "not_found")


async def test_the_services_write_into_nobodys_queue_on_behalf_of_one_who_may_not(
    stack: Stack, secret: Secrets, broker: BrokerClient
) -> None:
    """An answer goes to the asker's own queue or nowhere: persistence may write to more queues than a bot."""
    stolen = f"operator.{secret.text}"
    async with connect_broker(stack.rabbitmq.url) as operator:
        await operator.declare(stolen)
        query = {"type": "directory", "user": secret.eve.id, "limit": 1}
        await broker.publish("warren.queries", "query", json.dumps(query).encode(), reply_to=stolen)
        await broker.command(send_command("nobodys", secret.eve.id, "hi"), reply_to=stolen)
        # By the time that these are answered, by all replicas, those have been.
        for _ in range(8):
            assert (await broker.ask(query))["type"] == "directory_page"
        await broker.command(send_command("nobodys", secret.eve.id, "hi"))
        assert len(await broker.replies(1)) == 1
        assert await operator.depth(stolen) == 0
