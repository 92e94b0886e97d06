"""`@me`: what befalls one elsewhere, told once, live and for ever, to oneself alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from harness.direct_insert import insert_directly
from harness.scripted_client import ScriptedClient, connect
from harness.stack import Stack
from integration.conftest import Person, Place, new_person, new_place
from warren.contract.ids import direct_room, inbox_room


@pytest.fixture
async def bob(place: Place, gateways: list[str]) -> AsyncIterator[ScriptedClient]:
    """Bob, with his inbox open."""
    async with connect(gateways[1], place.bob.token) as client:
        assert (await client.join("@me"))["room"] == "@me"
        yield client


async def act(http: httpx.AsyncClient, gateway: str, who: Person, method: str, path: str, body: Any = None) -> None:
    answer = await http.request(method, f"{gateway}/v1/{path}", json=body, headers=who.headers)
    assert answer.is_success, answer.text


async def test_what_a_moderator_does_is_told_to_the_one_it_befalls(
    place: Place, http: httpx.AsyncClient, gateways: list[str], bob: ScriptedClient
) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    member, measure = f"rooms/{place.room}/members/{place.bob.id}", {"until": until, "reason": "Enough"}
    acts: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("PUT", member, {"role": "moderator"}, {"what": "member.role", "role": "moderator"}),
        ("PUT", f"rooms/{place.room}/mutes/{place.bob.id}", measure, {"what": "member.muted", **measure}),
        ("DELETE", f"rooms/{place.room}/mutes/{place.bob.id}", None, {"what": "member.unmuted"}),
        ("DELETE", member, None, {"what": "member.removed"}),
        ("PUT", member, None, {"what": "member.invited"}),
        ("PUT", f"rooms/{place.room}/bans/{place.bob.id}", measure, {"what": "member.banned", **measure}),
        ("DELETE", f"rooms/{place.room}/bans/{place.bob.id}", None, {"what": "member.unbanned"}),
    ]
    for number, (method, path, body, _) in enumerate(acts, start=1):
        await act(http, gateways[number % 2], place.ann, method, path, body)
    found = await bob.events("@me", len(acts))
    for number, (event, (_, _, _, expected)) in enumerate(zip(found, acts, strict=True), start=1):
        about = {"type": "notice", "seq": number, "number": number, "of_room": place.room, "of_seq": number + 2}
        common = {"kind": "public", "title": place.room, "sender": place.ann.id}
        assert {**event, **about, **common, **expected} == event
    history = await http.get(f"{gateways[0]}/v1/rooms/@me/messages", headers=place.bob.headers)
    assert history.json() == {"messages": found, "more": False, "at": len(acts), "notes": [], "notes_cut": False}


async def test_the_inbox_is_a_room_of_ones_own(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> None:
    found = (await http.get(f"{gateways[0]}/v1/rooms/@me", headers=place.bob.headers)).json()
    assert (found["kind"], found["title"], found["member"]) == ("inbox", "Inbox", True)


async def test_what_one_does_oneself_is_not_told(
    place: Place, http: httpx.AsyncClient, gateways: list[str], bob: ScriptedClient
) -> None:
    await act(http, gateways[0], place.bob, "DELETE", f"rooms/{place.room}/members/me")
    await act(http, gateways[0], place.bob, "PUT", f"rooms/{place.room}/members/me")
    await act(http, gateways[0], place.ann, "PUT", f"rooms/{place.room}/members/{place.bob.id}", {"role": "moderator"})
    (only,) = await bob.events("@me", 1)
    assert only["what"] == "member.role"


async def test_how_one_answered_an_invitation_is_told_to_oneself(
    private: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """One's other devices know by it, in the room's order, that the invitation is not open any more."""
    ann, bob, members = private.ann, private.bob, f"rooms/{private.room}/members"
    acts = [
        (ann, "PUT", bob.id, "member.invited"),
        (bob, "DELETE", "me", "member.left"),
        (ann, "PUT", bob.id, "member.invited"),
        (bob, "PUT", "me", "member.joined"),
        (bob, "DELETE", "me", ""),  # as a member, which answers nothing
        (ann, "PUT", bob.id, "member.invited"),
    ]
    for who, method, whom, _ in acts:
        await act(http, gateways[0], who, method, f"{members}/{whom}")
    told = [(what, who.id, seq) for seq, (who, _, _, what) in enumerate(acts, start=2) if what]
    async with connect(gateways[1], bob.token) as client:
        await client.join("@me", since=0)
        found = await client.events("@me", len(told))
    assert sorted(((n["what"], n["sender"], n["of_seq"]) for n in found), key=lambda notice: notice[2]) == told
    log = await http.get(f"{gateways[0]}/v1/rooms/{private.room}/events", headers=ann.headers)
    assert [event["seq"] for event in log.json()["events"] if event.get("invited")] == [3, 5]


async def test_a_new_direct_room_is_told_to_the_other(
    place: Place, http: httpx.AsyncClient, gateways: list[str], bob: ScriptedClient
) -> None:
    for _ in range(2):  # the same room again, whoever asks
        await act(http, gateways[0], place.ann, "POST", "direct", {"user": place.bob.id})
    await act(http, gateways[1], place.bob, "POST", "direct", {"user": place.ann.id})
    await act(http, gateways[0], place.ann, "PUT", f"rooms/{place.room}/members/{place.bob.id}", {"role": "moderator"})
    first, second = await bob.events("@me", 2)
    room = direct_room(place.ann.id, place.bob.id)
    assert {**first, "what": "room.created", "of_room": room, "of_seq": 1, "kind": "direct"} == first
    assert second["what"] == "member.role"
    listed = (await http.get(f"{gateways[0]}/v1/rooms", headers=place.bob.headers)).json()["rooms"]
    (direct,) = [found for found in listed if found["room"] == room]
    assert (direct["kind"], direct["peer"]) == ("direct", {"user": place.ann.id, "name": place.ann.id})


async def test_nobody_reads_anothers_inbox(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> None:
    await act(http, gateways[0], place.ann, "PUT", f"rooms/{place.room}/members/{place.bob.id}", {"role": "moderator"})
    for who in (place.ann, place.bob):  # not even the owner by that name
        inbox = inbox_room(place.bob.id)
        answer = await http.get(f"{gateways[0]}/v1/rooms/{inbox}/messages", headers=who.headers)
        assert (answer.status_code, answer.json()["detail"]) == (404, "no such room")
        async with connect(gateways[0], who.token) as client:
            refused = await client.join(inbox)
            assert (refused["code"], refused["detail"]) == ("not_found", "no such room")


async def test_notices_that_a_dead_writer_left_are_told_by_another(
    stack: Stack, place: Place, http: httpx.AsyncClient, gateways: list[str], bob: ScriptedClient
) -> None:
    """It died between its insert and the notice; whoever loads the room and looks for what is unsent goes on."""
    late = {"type": "member.role", "user": place.bob.id, "role": "moderator", "number": 0}
    insert_directly(stack.mongodb.url, place.room, 3, place.ann.id, **late, unprojected=True, unsent=True)
    async with connect(gateways[0], place.ann.token) as ann:
        assert (await ann.send(place.room, "go on"))["seq"] == 4
    (only,) = await bob.events("@me", 1)
    assert (only["what"], only["of_seq"]) == ("member.role", 3)


async def test_an_inbox_takes_the_smallest_of_new_people(http: httpx.AsyncClient, gateways: list[str]) -> None:
    """Who has never been anywhere has an inbox all the same, and an invitation reaches it."""
    place = await new_place(http, gateways[0], "private")
    newcomer = new_person("new")
    async with connect(gateways[1], newcomer.token) as client:
        await client.join("@me")
        await act(http, gateways[0], place.ann, "PUT", f"rooms/{place.room}/members/{newcomer.id}")
        (only,) = await client.events("@me", 1)
        assert (only["what"], only["kind"], only["of_room"]) == ("member.invited", "private", place.room)
        await act(http, gateways[0], newcomer, "PUT", f"rooms/{place.room}/members/me")
        assert (await client.join(place.room))["type"] == "joined"
