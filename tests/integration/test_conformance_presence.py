"""Every transport: who is here and who is typing, shown to members and of members alone; and one's own inbox."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from harness.concurrency import run_concurrently
from harness.presence_view import PresenceView
from harness.resilient_client import join_room
from harness.scripted_client import ScriptedClient, connect_over, open_transport
from harness.transport import TRANSPORTS, TransportName
from integration.conftest import Person, Place, new_person, settled
from integration.test_member_removal import act
from integration.test_presence import told, view
from warren.contract.presence import GRACE

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
POLL_GONE_WITHIN = 10.0
"""Seconds after their last poll for which somebody is shown at most."""
EARLY = 0.5
"""Seconds by which a test may learn of a thing later than the server."""


@asynccontextmanager
async def watch(
    transport: TransportName, gateway: str, who: Person, room: str
) -> AsyncIterator[PresenceView[ScriptedClient]]:
    """Follow the room."""
    async with connect_over(transport, gateway, who.token) as client:
        assert (await client.join(room))["type"] == "joined"
        yield PresenceView(client, room)


async def test_members_see_each_other_come_idle_and_return(
    transport: TransportName, place: Place, gateways: list[str]
) -> None:
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        watch(transport, gateways[1], place.bob, place.room) as bob,
    ):
        for viewer in (ann, bob):
            await viewer.sees(place.ann, place.bob)
        for status in ("away", "online"):
            await bob.client.status(status)
            for viewer in (ann, bob):
                await viewer.sees(place.ann, place.bob, bob=status)
        await ann.client.status("away")
        for viewer in (ann, bob):
            await viewer.sees(place.ann, place.bob, ann="away")
        assert ann.went == set()


async def test_people_are_here_for_as_long_as_they_follow_and_gone_in_time(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Also in between two polls, and when a stream is opened anew; who goes without a word is gone all the same."""
    people = {transport: new_person(transport) for transport in TRANSPORTS}
    for person in people.values():
        await join_room(http, gateways[0], place.room, person.token)
    went: dict[TransportName, float] = {}
    async with view(gateways[0], place.ann, place.room) as ann, AsyncExitStack() as exits:
        lines = [
            await exits.enter_async_context(open_transport(transport, gateways[1], person.token, pause=2.0))
            for transport, person in people.items()
        ]
        for line in lines:
            await line.say({"type": "join", "room": place.room})
        await ann.sees(place.ann, *people.values())
        for turn in range(8):
            await ann.client.send(place.room, f"{turn}")  # which answers the poll that waits
            await lines[1].say({"type": "status", "status": "online"})  # which opens the stream anew
            await asyncio.sleep(0.5)
        await ann.client.quiet()
        assert ann.went == set()
        left = time.monotonic()
        for line in lines:
            line.drop()
        async with asyncio.timeout(WITHIN):
            while len(went) < len(people):
                await ann.look()
                for transport, person in people.items():
                    if person.id in ann.went:
                        went.setdefault(transport, time.monotonic() - left)
    assert min(went.values()) > GRACE - EARLY - 2.0
    assert max(went.values()) < POLL_GONE_WITHIN + EARLY


async def test_typing_is_seen_over_every_transport_by_all_the_others(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    people = [new_person(transport) for transport in TRANSPORTS]
    for person in people:
        await join_room(http, gateways[0], place.room, person.token)
    async with AsyncExitStack() as exits:
        views = [
            await exits.enter_async_context(watch(transport, gateways[number % 2], person, place.room))
            for number, (transport, person) in enumerate(zip(TRANSPORTS, people, strict=True))
        ]
        for viewer in views:
            await viewer.sees(*people)
        for typist, person in zip(views, people, strict=True):
            others = [viewer for viewer in views if viewer is not typist]
            await run_concurrently(*(seen_typing(typist.client, other.client, place.room, person) for other in others))
        for viewer, person in zip(views, people, strict=True):
            typing = {frame["user"] for frame in viewer.client.passed if frame["type"] == "typing"}
            assert person.id not in typing


async def seen_typing(typist: ScriptedClient, other: ScriptedClient, room: str, person: Person) -> None:
    """Type until it is seen: a poll may be under way just then."""

    async def type_on() -> None:
        while True:
            await typist.typing(room)
            await asyncio.sleep(1)  # as often as one may

    typing = asyncio.create_task(type_on())
    try:
        found = await other.expect("typing", user=person.id)
        assert (found["room"], found["name"]) == (room, person.id)
    finally:
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)


async def test_a_stranger_in_a_public_room_is_neither_shown_nor_told(
    transport: TransportName, place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[1], place.bob, place.room) as bob,
        watch(transport, gateways[1], place.eve, place.room) as eve,
    ):
        await ann.sees(place.ann, place.bob)
        await bob.client.typing(place.room)
        await ann.client.expect("typing")
        await bob.client.status("away")
        await ann.sees(place.ann, place.bob, bob="away")
        for text in ("one", "two"):  # which answers two polls
            sent = await ann.client.send(place.room, text)
            await eve.client.events(place.room, sent["seq"])
        assert told(eve.client.passed) == []
        assert place.eve.id not in str(ann.frames)
        await eve.client.typing(place.room)
        assert (await eve.client.expect("error"))["code"] == "forbidden"
        # As soon as they are a member, they are.
        await join_room(http, gateways[0], place.room, place.eve.token)
        for viewer in (ann, eve):
            await viewer.sees(place.ann, place.bob, place.eve, bob="away")


async def test_who_is_removed_is_shown_going_at_once_and_is_shown_no_more(
    transport: TransportName, place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        watch(transport, gateways[1], place.bob, place.room) as bob,
    ):
        for viewer in (ann, bob):
            await viewer.sees(place.ann, place.bob)
        await settled(transport, gateways[1])
        ended = time.monotonic()
        await act(http, gateways[0], place.ann, "DELETE", f"{place.room}/members/{place.bob.id}")
        await ann.sees(place.ann)
        assert time.monotonic() - ended < GRACE
        await bob.client.expect("left", room=place.room)
        await bob.client.join(place.room)  # as anybody may
        bob.client.passed.clear()
        await ann.client.status("away")
        await ann.sees(place.ann, ann="away")
        await ann.client.typing(place.room)
        sent = await ann.client.send(place.room, "just us")
        await bob.client.events(place.room, sent["seq"])
        assert told(bob.client.passed) == []


async def test_notices_come_to_ones_inbox_live_and_later(
    transport: TransportName, place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    member = f"{place.room}/members/{place.bob.id}"
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        joined = await bob.join("@me")
        assert (joined["room"], joined["head"], joined["number"]) == ("@me", 0, 0)
        await act(http, gateways[0], place.ann, "PUT", member, role="moderator")
        (notice,) = await bob.events("@me", 1)
        assert (notice["type"], notice["what"], notice["of_room"]) == ("notice", "member.role", place.room)
    for role in ("member", "moderator"):
        await act(http, gateways[0], place.ann, "PUT", member, role=role)
    async with connect_over(transport, gateways[1], place.bob.token) as bob:
        await bob.join("@me", 1, joined["epoch"])
        assert [event["role"] for event in await bob.events("@me", 3)] == ["member", "moderator"]
    async with connect_over(transport, gateways[1], place.eve.token) as eve:
        assert (await eve.join("@me", 0))["head"] == 0
