"""Direct rooms: with whom they can be opened, whom they count against, and how one is rid of them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pymongo
import pytest
from harness.resilient_client import fresh_room
from harness.scripted_client import connect, connect_over
from harness.stack import Stack
from harness.transport import TransportName
from integration.conftest import Person, become_known, found_by, new_person
from warren.contract.ids import direct_room


@dataclass(frozen=True, slots=True)
class Two:
    """Ann and bob, who has opened a direct room with her and said something in it."""

    ann: Person
    bob: Person
    room: str
    http: httpx.AsyncClient
    gateways: list[str]

    async def ask(self, who: Person, method: str, path: str, body: Any = None) -> httpx.Response:
        gateway = self.gateways[who is self.bob]
        return await self.http.request(method, f"{gateway}/v1/{path}", json=body, headers=who.headers)

    async def done(self, who: Person, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.ask(who, method, path, body)
        assert answer.is_success, (method, path, answer.text)
        found = answer.json()
        assert isinstance(found, dict)
        return found

    async def say(self, who: Person, text: str = "hi") -> httpx.Response:
        return await self.ask(who, "POST", f"rooms/{self.room}/messages", {"text": text})

    async def listed(self, who: Person) -> dict[str, Any]:
        """Return the room as it is in somebody's list."""
        found: dict[str, Any]
        (found,) = [room for room in (await self.done(who, "GET", "rooms"))["rooms"] if room["room"] == self.room]
        return found


@pytest.fixture
async def two(http: httpx.AsyncClient, gateways: list[str]) -> Two:
    ann, bob = new_person("ann"), new_person("bob")
    await become_known(http, gateways[0], ann, bob)
    found = Two(ann, bob, direct_room(ann.id, bob.id), http, gateways)
    await found.done(bob, "POST", "direct", {"user": ann.id})
    assert (await found.say(bob)).status_code == 201
    return found


async def test_nobody_opens_one_with_who_has_never_been_here(two: Two) -> None:
    nobody = await two.ask(two.ann, "POST", "direct", {"user": f"nobody-{secrets.token_hex(4)}"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "not_found")
    for oneself in ("me", two.ann.id):
        answer = await two.ask(two.ann, "POST", "direct", {"user": oneself})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_who_has_signed_in_and_entered_no_room_can_be_spoken_with(
    transport: TransportName, two: Two, gateways: list[str]
) -> None:
    """Over each transport: a token that was accepted there is a sign-in."""
    somebody = new_person("cat")
    async with connect_over(transport, gateways[0], somebody.token) as talker:
        await talker.join("@me")
        await found_by(two.http, gateways[1], somebody.id, somebody.id)
    assert (await two.done(two.ann, "POST", "direct", {"user": somebody.id}))["user"] == somebody.id


async def test_a_guest_has_signed_in(two: Two, http: httpx.AsyncClient, gateways: list[str]) -> None:
    name = f"Gusti {secrets.token_hex(4)}"
    user = (await http.post(f"{gateways[0]}/v1/guest", json={"name": name})).json()["user"]["id"]
    await found_by(http, gateways[1], user, name)
    assert (await two.done(two.ann, "POST", "direct", {"user": user}))["user"] == user


async def test_others_cannot_fill_ones_rooms(two: Two, stack: Stack) -> None:
    """The direct rooms are made up in the store: a thousand real ones would say no more."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(stack.mongodb.url)
    with client:
        members = client.get_default_database().members
        rooms = [{"room": f"x{n}-{two.ann.id}", "user": two.ann.id} for n in range(1_500)]
        unasked = {"state": "member", "role": "member", "unasked": datetime.now(UTC)}
        members.insert_many([{"_id": room, **unasked} for room in rooms])
        try:
            room = fresh_room()
            await two.done(two.ann, "POST", "rooms", {"room": room})
            mine = [found["room"] for found in (await two.done(two.ann, "GET", "rooms"))["rooms"]]
            assert room in mine
            assert (await two.done(two.ann, "GET", f"users/{two.bob.id}"))["user"] == two.bob.id
        finally:
            members.delete_many({"_id": {"$in": rooms}})


async def test_a_hidden_one_comes_back_with_the_next_message(two: Two) -> None:
    assert not (await two.listed(two.ann))["hidden"]
    hidden = await two.done(two.ann, "PUT", f"direct/{two.bob.id}/hidden")
    assert (hidden["room"], hidden["user"]) == ("@me", two.bob.id)
    assert hidden["seq"]
    assert (await two.listed(two.ann))["hidden"]
    assert not (await two.listed(two.bob))["hidden"]
    assert (await two.done(two.ann, "PUT", f"direct/{two.bob.id}/hidden"))["seq"] is None
    assert (await two.say(two.bob)).status_code == 201
    assert not (await two.listed(two.ann))["hidden"]


@pytest.mark.parametrize("way", ["delete", "direct"])
async def test_a_hidden_one_is_shown_again(way: str, two: Two) -> None:
    await two.done(two.ann, "PUT", f"direct/{two.bob.id}/hidden")
    if way == "delete":
        await two.done(two.ann, "DELETE", f"direct/{two.bob.id}/hidden")
        assert (await two.done(two.ann, "DELETE", f"direct/{two.bob.id}/hidden"))["seq"] is None
    else:
        assert (await two.done(two.ann, "POST", "direct", {"user": two.bob.id}))["room"] == two.room
    assert not (await two.listed(two.ann))["hidden"]


async def test_there_is_nothing_to_hide_where_there_is_no_room(two: Two) -> None:
    for user in (new_person("cat").id, two.ann.id, "me"):
        assert (await two.ask(two.ann, "PUT", f"direct/{user}/hidden")).json()["code"] == "not_found"


async def test_what_one_decides_is_told_to_all_ones_devices_and_to_nobody_else(two: Two) -> None:
    async with (
        connect(two.gateways[1], two.ann.token) as ann,
        connect(two.gateways[0], two.bob.token) as bob,
    ):
        await ann.join("@me")
        await bob.join("@me")
        await bob.join(two.room)
        for method, path in (
            ("PUT", f"direct/{two.bob.id}/hidden"),
            ("PUT", f"people/{two.bob.id}/block"),
            ("DELETE", f"people/{two.bob.id}/block"),
            ("DELETE", f"direct/{two.bob.id}/hidden"),
        ):
            done = await two.done(two.ann, method, path)
        told = [event for event in await ann.events("@me", done["seq"]) if event["type"] != "notice"]
        assert [(event["type"], event["user"]) for event in told] == [
            (what, two.bob.id) for what in ("direct.hidden", "person.blocked", "person.unblocked", "direct.shown")
        ]
        assert told[0]["upto"] == 1
        assert [frame for frame in await bob.quiet() if frame["type"] != "presence"] == []


async def test_who_is_blocked_reaches_one_no_more_and_learns_nothing(two: Two) -> None:
    room = fresh_room()
    await two.done(two.bob, "POST", "rooms", {"room": room})
    before = await two.done(two.bob, "GET", f"rooms/{two.room}")
    await two.done(two.ann, "PUT", f"people/{two.bob.id}/block")
    gone = await two.ask(two.bob, "POST", f"rooms/dm-{'0' * 40}/messages", {"text": "hi"})
    refused = await two.say(two.bob)
    assert (refused.status_code, refused.json()) == (gone.status_code, gone.json())
    async with (
        connect(two.gateways[0], two.bob.token) as bob,
        connect(two.gateways[1], two.ann.token) as ann,
    ):
        assert (await bob.join(two.room))["type"] == "joined"
        assert (await ann.join(two.room))["type"] == "joined"
        assert (await bob.send(two.room, "hi"))["code"] == "not_found"
    nobody = await two.ask(two.bob, "POST", "direct", {"user": f"nobody-{secrets.token_hex(4)}"})
    again = await two.ask(two.bob, "POST", "direct", {"user": two.ann.id})
    assert (again.status_code, again.json()) == (nobody.status_code, nobody.json())
    # What shows elsewhere is as it was.
    assert (await two.ask(two.bob, "POST", f"rooms/{two.room}/typing")).status_code == 204
    assert await two.done(two.bob, "GET", f"rooms/{two.room}") == before
    assert not (await two.listed(two.bob))["blocked"]
    assert (await two.done(two.bob, "GET", f"users/{two.ann.id}"))["user"] == two.ann.id
    # Nor does an invitation reach her.
    await two.done(two.bob, "PUT", f"rooms/{room}/members/{two.ann.id}")
    await two.done(two.bob, "PUT", f"rooms/{room}/bans/{two.ann.id}")
    async with connect(two.gateways[0], two.ann.token) as ann:
        await ann.join("@me", since=0)
        told = [event for event in await ann.events("@me", 3) if event["type"] == "notice"]
        assert [(notice["what"], notice["sender"]) for notice in told] == [
            ("room.created", two.bob.id),
            ("member.banned", two.bob.id),
        ]


async def test_who_blocks_sees_whom_and_can_lift_it(two: Two) -> None:
    assert (await two.done(two.ann, "GET", "blocks")) == {"people": [], "more": False}
    cat = new_person("cat")
    await become_known(two.http, two.gateways[0], cat)
    for user in (two.bob.id, cat.id):
        assert (await two.done(two.ann, "PUT", f"people/{user}/block"))["seq"]
        assert (await two.done(two.ann, "PUT", f"people/{user}/block"))["seq"] is None
    page = await two.done(two.ann, "GET", "blocks?limit=1")
    rest = await two.done(two.ann, "GET", f"blocks?limit=1&after={page['people'][0]['user']}")
    assert [found["people"][0]["user"] for found in (page, rest)] == sorted([two.bob.id, cat.id])
    assert (page["more"], rest["more"]) == (True, False)
    assert (await two.listed(two.ann))["blocked"]
    assert (await two.say(two.ann)).json()["code"] == "forbidden"
    for _ in range(2):
        await two.done(two.ann, "DELETE", f"people/{two.bob.id}/block")
    assert not (await two.listed(two.ann))["blocked"]
    for who in (two.ann, two.bob):
        assert (await two.say(who)).status_code == 201


async def test_nobody_blocks_who_has_never_been_here_or_oneself(two: Two) -> None:
    nobody = f"nobody-{secrets.token_hex(4)}"
    assert (await two.ask(two.ann, "PUT", f"people/{nobody}/block")).json()["code"] == "not_found"
    assert (await two.ask(two.ann, "PUT", "people/me/block")).json()["code"] == "invalid"
