"""Presence over two gateways, as docs/protocol.md has it: who is here, who is typing, and who is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from harness.broker_client import BATCH, BrokerClient, send_command
from harness.concurrency import run_concurrently
from harness.observability import metric
from harness.presence_view import PresenceView
from harness.raw_clients import RawClient, message, raw_sign_in
from harness.resilient_client import fresh_room, join_room, make_room
from harness.scripted_client import ScriptedSocketClient, connect
from harness.stack import Stack
from integration.conftest import Person, Place, become_known, new_person, new_place
from integration.test_member_removal import ENDS, act, let_in
from warren.contract.ids import inbox_room
from warren.contract.presence import GRACE, HEARTBEAT, LEASE, Announcement, Goodbye, PresenceChange
from warren.contract.topology import CONTROL, PRESENCE, shard, shard_key

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
LARGE, SMALL = 200, 160
"""More present than this are counted, until there are fewer than that."""
EARLY = 0.5
"""Seconds by which a test may learn of a thing later than the server, or earlier than another test's clock."""


SocketViewer = PresenceView[ScriptedSocketClient]


@asynccontextmanager
async def view(gateway: str, who: Person, room: str) -> AsyncIterator[SocketViewer]:
    """Connect and follow the room."""
    async with connect(gateway, who.token) as talker:
        assert (await talker.join(room))["type"] == "joined"
        assert not [frame for frame in talker.passed if frame["type"] == "presence"], "before joined"
        yield PresenceView(talker, room)


async def member(http: httpx.AsyncClient, gateway: str, room: str, name: str) -> Person:
    found = new_person(name)
    await join_room(http, gateway, room, found.token)
    return found


def told(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those that tell who is here or typing."""
    return [frame for frame in frames if frame["type"] in ("presence", "typing")]


async def seen_typing(typist: SocketViewer, viewer: SocketViewer) -> None:
    """Type until it is seen: who has just joined may miss some, since nobody tells them the room's state."""
    async with asyncio.timeout(WITHIN):
        while not [frame for frame in await viewer.client.quiet() if frame["type"] == "typing"]:
            await typist.client.say(type="typing", room=typist.room)
            await asyncio.sleep(1)  # as often as one may


async def heard(talker: ScriptedSocketClient, room: str, seq: int) -> list[dict[str, Any]]:
    """Return what came besides events by the time this event was shown."""
    await talker.events(room, seq)
    return await talker.quiet()


# Who is here.


async def test_a_state_then_diffs_with_the_next_version(place: Place, gateways: list[str]) -> None:
    async with view(gateways[0], place.ann, place.room) as ann:
        first = await ann.sees(place.ann)
        assert first["state"] == [{"user": place.ann.id, "name": place.ann.id, "status": "online"}]
        async with view(gateways[1], place.bob, place.room) as bob:
            came = await ann.sees(place.ann, place.bob)
            assert came["diff"] == [{"user": place.bob.id, "name": place.bob.id, "status": "online"}]
            assert came["version"] == first["version"] + 1
            await bob.sees(place.ann, place.bob)
            assert "state" in bob.frames[0]
            await bob.client.say(type="status", status="away")
            idle = await ann.sees(place.ann, place.bob, bob="away")
            assert idle["diff"] == [{"user": place.bob.id, "name": place.bob.id, "status": "away"}]
            # Joining again brings the state, as it must for who has missed a diff.
            seen = len(bob.frames)
            await bob.client.join(place.room)
            await bob.look()
            assert "state" in bob.frames[seen]
            await bob.sees(place.ann, place.bob, bob="away")


async def test_devices_are_one_presence_and_a_reconnect_does_not_show(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Everybody goes at the same moment; when the one who stays away is shown going, nobody else has been."""
    here, there = gateways
    cat, dan, eva, fay = [await member(http, here, place.room, name) for name in ("cat", "dan", "eva", "fay")]
    async with (
        view(here, place.ann, place.room) as ann,
        view(there, place.bob, place.room) as bob,
        AsyncExitStack() as leaving,
        AsyncExitStack() as staying,
    ):
        two = await staying.enter_async_context(view(there, cat, place.room))  # on another gateway
        for who, gateway in ((cat, here), (dan, here), (eva, here), (fay, there)):
            await leaving.enter_async_context(view(gateway, who, place.room))
        three = await staying.enter_async_context(view(there, fay, place.room))  # in another tab
        for viewer in (ann, bob):
            await viewer.sees(place.ann, place.bob, cat, dan, eva, fay)
        await two.client.say(type="status", status="away")
        await three.client.say(type="status", status="away")
        await leaving.aclose()
        left = time.monotonic()
        await staying.enter_async_context(view(there, dan, place.room))  # comes back by the other gateway
        for viewer in (ann, bob):
            # Away only now that all that is left of them is.
            await viewer.sees(place.ann, place.bob, cat, dan, eva, fay, cat="away", fay="away")
            await viewer.sees(place.ann, place.bob, cat, dan, fay, cat="away", fay="away")
            assert viewer.went == {eva.id}
            assert all(frame["version"] for frame in viewer.frames)
        assert time.monotonic() - left > GRACE - EARLY
        found = await http.get(f"{there}/v1/users/{eva.id}", headers=place.ann.headers)
        assert (found.json()["user"], found.json()["name"], found.json()["status"]) == (eva.id, eva.id, "offline")
        ago = datetime.now(UTC) - datetime.fromisoformat(found.json()["last_seen"])
        assert abs(ago.total_seconds() - (time.monotonic() - left)) < GRACE / 2


async def test_one_status_for_all_devices(place: Place, gateways: list[str]) -> None:
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[0], place.bob, place.room) as one,
        view(gateways[1], place.bob, place.room) as other,
    ):
        await ann.sees(place.ann, place.bob)
        await one.client.say(type="status", status="away")
        await other.client.say(type="status", status="away")
        await ann.sees(place.ann, place.bob, bob="away")
        await one.client.say(type="status", status="online")
        await ann.sees(place.ann, place.bob)
        await other.client.say(type="status", status="online")
        await one.client.say(type="status", status="away")  # somebody is still at the other one
        await ann.client.say(type="status", status="away")
        await ann.sees(place.ann, place.bob, ann="away")
        assert [one["user"] for frame in ann.frames for one in frame.get("diff", ())].count(place.bob.id) <= 3
        found = await ann.client.error(type="status", status="asleep")
        assert found["code"] == "invalid"


async def test_a_status_counts_in_rooms_joined_before_and_after(
    http: httpx.AsyncClient, place: Place, gateways: list[str]
) -> None:
    second = fresh_room()
    await make_room(http, gateways[0], second, place.ann.token)
    await join_room(http, gateways[0], second, place.bob.token)
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[0], place.ann, second) as ann2,
        view(gateways[1], place.bob, place.room) as bob,
    ):
        await ann.sees(place.ann, place.bob)
        await bob.client.say(type="status", status="away")
        await bob.client.join(second)
        await ann2.sees(place.ann, place.bob, bob="away")
        await ann.sees(place.ann, place.bob, bob="away")
        await bob.client.say(type="status", status="online")
        await ann2.sees(place.ann, place.bob)
        await ann.sees(place.ann, place.bob)


async def test_readers_who_are_no_members_are_neither_shown_nor_told(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[1], place.eve, place.room) as eve,
        view(gateways[1], place.bob, place.room) as bob,
    ):
        await ann.sees(place.ann, place.bob)
        await bob.client.say(type="typing", room=place.room)
        await ann.client.expect("typing")
        sent = await ann.client.send(place.room, "who is here?")
        assert told(await heard(eve.client, place.room, sent["seq"])) == []
        assert place.eve.id not in str(ann.frames)
        # As soon as they are a member, they are.
        await join_room(http, gateways[0], place.room, place.eve.token)
        for viewer in (ann, bob, eve):
            await viewer.sees(place.ann, place.bob, place.eve)
        await eve.client.say(type="typing", room=place.room)
        assert (await ann.client.expect("typing"))["user"] == place.eve.id


async def test_becoming_a_member_and_following_at_the_same_moment(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Whether the one comes before, during or after the other."""
    async with view(gateways[0], place.ann, place.room) as ann, AsyncExitStack() as exits:
        people = [new_person("eve") for _ in range(20)]
        for number, who in enumerate(people):
            talker = await exits.enter_async_context(connect(gateways[number % 2], who.token))
            becoming = asyncio.create_task(join_room(http, gateways[0], place.room, who.token))
            await asyncio.sleep(number / 500)  # less or more than either takes
            await talker.join(place.room)
            await becoming
        await ann.sees(place.ann, *people)


@pytest.mark.parametrize("end", [*ENDS, "leave"])
@pytest.mark.parametrize("kind", ["public", "private"])
async def test_the_end_of_a_membership_shows_at_once_and_ends_what_is_shown(
    kind: str, end: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    place = await new_place(http, gateways[0], kind)
    if kind == "private":
        await let_in(http, gateways[0], place.room, place.ann, place.bob)
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[0], place.bob, place.room) as here,
        view(gateways[1], place.bob, place.room) as there,
    ):
        for viewer in (ann, here, there):
            await viewer.sees(place.ann, place.bob)
        ended = time.monotonic()
        if end == "leave":
            await act(http, gateways[1], place.bob, "DELETE", f"{place.room}/members/me")
        else:
            verb, what, _ = ENDS[end]
            await act(http, gateways[1], place.ann, verb, f"{place.room}/{what}/{place.bob.id}")
        await ann.sees(place.ann)
        assert time.monotonic() - ended < GRACE
        for viewer in (here, there):
            await viewer.client.expect("left", room=place.room)
            await viewer.client.quiet()
            if (kind, end) == ("public", "remove"):  # and may read again, as anybody may
                assert (await viewer.client.join(place.room))["type"] == "joined"
        await ann.client.say(type="status", status="away")
        await ann.sees(place.ann, ann="away")
        await ann.client.say(type="typing", room=place.room)
        sent = await ann.client.send(place.room, "just us")
        await ann.client.events(place.room, sent["seq"])
        for viewer in (here, there):
            assert told(await viewer.client.quiet()) == []
            assert (await viewer.client.error(type="typing", room=place.room))["code"] in ("not_found", "forbidden")


async def test_leaving_a_subscription_is_leaving_after_the_grace(place: Place, gateways: list[str]) -> None:
    """The other device, which follows another room alone, does not make up for it."""
    async with view(gateways[0], place.ann, place.room) as ann, view(gateways[1], place.bob, place.room) as bob:
        await ann.sees(place.ann, place.bob)
        await bob.client.ask("left", type="leave", room=place.room)
        await bob.client.quiet()
        left = time.monotonic()
        await ann.sees(place.ann)
        assert time.monotonic() - left > GRACE - EARLY
        assert told(await bob.client.quiet()) == []
        await bob.client.join(place.room)
        await ann.sees(place.ann, place.bob)


async def test_the_two_of_a_direct_room_see_each_other(
    http: httpx.AsyncClient, place: Place, gateways: list[str]
) -> None:
    await become_known(http, gateways[0], place.eve)
    made = await http.post(f"{gateways[0]}/v1/direct", json={"user": place.eve.id}, headers=place.ann.headers)
    room = made.json()["room"]
    async with view(gateways[0], place.ann, room) as ann, view(gateways[1], place.eve, room) as eve:
        for viewer in (ann, eve):
            await viewer.sees(place.ann, place.eve)
        await eve.client.say(type="typing", room=room)
        assert (await ann.client.expect("typing"))["user"] == place.eve.id


# Who is typing.


async def test_typing_reaches_the_others_on_every_gateway_and_never_the_typist(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    cat = await member(http, gateways[0], place.room, "cat")
    async with (
        view(gateways[0], place.ann, place.room) as ann,
        view(gateways[0], place.ann, place.room) as tab,
        view(gateways[1], place.ann, place.room) as phone,
        view(gateways[0], place.bob, place.room) as bob,
        view(gateways[1], cat, place.room) as third,
    ):
        for viewer in (ann, tab, phone, bob, third):
            await viewer.sees(place.ann, place.bob, cat)
        await ann.client.say(type="typing", room=place.room)
        frame = {"type": "typing", "room": place.room, "user": place.ann.id, "name": place.ann.id}
        for viewer in (bob, third):
            assert await viewer.client.expect("typing") == frame
        sent = await ann.client.send(place.room, "said")
        for viewer in (ann, tab, phone, bob, third):
            assert told(await heard(viewer.client, place.room, sent["seq"])) == []


async def test_only_who_may_write_now_may_type(place: Place, http: httpx.AsyncClient, gateways: list[str]) -> None:
    gateway, room = gateways[0], place.room
    async with view(gateways[1], place.ann, room) as ann, view(gateway, place.bob, room) as bob:
        await ann.sees(place.ann, place.bob)

        async def refused() -> str:
            await bob.client.quiet()
            await bob.client.say(type="typing", room=room)
            await bob.client.ask("pong", type="ping")
            errors = [frame for frame in bob.client.passed if frame["type"] == "error"]
            return str(errors[-1]["code"]) if errors else ""

        async def changed(method: str, path: str, **body: Any) -> None:
            done = await http.request(method, f"{gateway}/v1/rooms/{path}", json=body, headers=place.ann.headers)
            done.raise_for_status()

        async def becomes(code: str) -> None:
            """What may be done is asked for when the event comes: an instant later."""
            async with asyncio.timeout(WITHIN):
                while await refused() != code:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

        assert await refused() == ""
        await changed("PUT", f"{room}/mutes/{place.bob.id}")
        await becomes("forbidden")
        await changed("DELETE", f"{room}/mutes/{place.bob.id}")
        await becomes("")
        for archived, code in ((True, "forbidden"), (False, "")):
            await changed("PATCH", room, archived=archived)
            await becomes(code)
            await bob.client.join(room)
            assert await refused() == code
        assert (await bob.client.error(type="typing", room=fresh_room()))["code"] == "not_found"
        assert (await bob.client.error(type="typing", room="@me"))["code"] in ("invalid", "not_found")
        async with view(gateway, place.eve, room) as eve:
            assert (await eve.client.error(type="typing", room=room))["code"] == "forbidden"


# Limits.


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[str]:
    """A gateway on which little may be typed and reported."""
    rates = {"TYPING_PER_SECOND": "1", "TYPING_BURST": "3", "STATUSES_PER_SECOND": "1", "STATUSES_BURST": "2"}
    service = stack.extra("gateway", 6, **{f"WARREN_{name}": value for name, value in rates.items()})
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()


@pytest.mark.parametrize(("frame", "burst"), [({"type": "typing"}, 3), ({"type": "status", "status": "away"}, 2)])
async def test_typing_and_statuses_of_a_connection(small: str, place: Place, frame: Any, burst: int) -> None:
    said = {**frame, "room": place.room} if frame["type"] == "typing" else frame
    async with view(small, place.ann, place.room) as ann:

        async def refusals(times: int) -> list[dict[str, Any]]:
            for _ in range(times):
                await ann.client.say(**said)
            return [found for found in await ann.client.quiet() if found["type"] == "error"]

        errors = await refusals(burst * 3)
        assert burst <= len(errors) <= burst * 2
        assert all((error["code"], error["temporary"]) == ("too_many", True) for error in errors)
        await asyncio.sleep(max(error["retry_after"] for error in errors))
        assert await refusals(1) == []


async def test_a_room_is_told_only_so_often_that_somebody_types(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    typists = [await member(http, gateways[0], place.room, "typist") for _ in range(5)]
    async with AsyncExitStack() as exits, view(gateways[1], place.ann, place.room) as ann:
        views = [await exits.enter_async_context(view(gateways[0], who, place.room)) for who in typists]
        await ann.sees(place.ann, *typists)
        began = time.monotonic()
        for viewer in views:
            for _ in range(8):
                await viewer.client.say(type="typing", room=place.room)
        for viewer in views:
            assert [frame for frame in await viewer.client.quiet() if frame["type"] == "error"] == []
        most = 8 + 4 * (time.monotonic() - began)
        sent = await views[0].client.send(place.room, "done")
        shown = [frame for frame in await heard(ann.client, place.room, sent["seq"]) if frame["type"] == "typing"]
        assert 1 <= len(shown) <= most < 8 * len(typists)


# Over HTTP.


async def test_members_alone_learn_who_is_in_a_room(http: httpx.AsyncClient, place: Place, gateways: list[str]) -> None:
    private = await new_place(http, gateways[0], "private")

    async def ask(room: str, who: Person, gateway: str = gateways[1]) -> httpx.Response:
        return await http.get(f"{gateway}/v1/rooms/{room}/presence", headers=who.headers)

    # Nobody follows it anywhere: it is asked for.
    empty = {"room": place.room, "online": 0, "away": 0, "people": []}
    assert (await ask(place.room, place.ann)).json() == empty
    async with view(gateways[0], place.ann, place.room) as ann, view(gateways[0], place.bob, place.room) as bob:
        await bob.client.say(type="status", status="away")
        await ann.sees(place.ann, place.bob, bob="away")
        for gateway in gateways:
            found = (await ask(place.room, place.bob, gateway)).json()
            people = {one["user"]: (one["name"], one["status"]) for one in found["people"]}
            assert (found["online"], found["away"]) == (1, 1)
            assert people == {place.ann.id: (place.ann.id, "online"), place.bob.id: (place.bob.id, "away")}
    refused = await ask(place.room, place.eve)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    hidden, unknown = await ask(private.room, place.eve), await ask(fresh_room(), place.eve)
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json() == unknown.json()
    for inbox in (inbox_room(place.ann.id), inbox_room(place.bob.id)):
        assert (await ask(inbox, place.ann)).status_code == 404


async def test_who_shares_a_room_learns_whether_somebody_is_here(
    http: httpx.AsyncClient, place: Place, gateways: list[str]
) -> None:
    async def ask(user: str, who: Person) -> httpx.Response:
        return await http.get(f"{gateways[1]}/v1/users/{user}", headers=who.headers)

    # Members, and never seen.
    assert (await ask(place.bob.id, place.ann)).json() == {
        "user": place.bob.id, "name": place.bob.id, "status": "offline", "last_seen": None,
    }  # fmt: skip
    async with connect(gateways[0], place.bob.token) as bob:  # connected, and in no room
        await becomes(lambda: ask(place.bob.id, place.ann), "online")
        await bob.say(type="status", status="away")
        await becomes(lambda: ask(place.bob.id, place.ann), "away")
        assert (await ask("me", place.bob)).json()["status"] == "away"
        stranger, unknown = await ask(place.bob.id, place.eve), await ask("nobody-at-all", place.eve)
        assert stranger.status_code == unknown.status_code == 404
        assert stranger.json() == unknown.json()


async def becomes(ask: Any, status: str) -> None:
    """Ask until it is so: what was announced is on its way."""
    async with asyncio.timeout(WITHIN):
        while (found := (await ask()).json())["status"] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert found["last_seen"] is None


async def test_without_the_service_presence_is_unavailable_and_chat_goes_on(
    stack: Stack, http: httpx.AsyncClient, place: Place, gateways: list[str]
) -> None:
    for replica in stack.presence:
        replica.pause()
    try:
        asked = [
            asyncio.create_task(http.get(f"{gateways[0]}/v1/{path}", headers=place.ann.headers))
            for path in (f"rooms/{place.room}/presence", f"users/{place.bob.id}")
        ]
        async with view(gateways[0], place.ann, place.room) as ann, view(gateways[1], place.bob, place.room) as bob:
            sent = await ann.client.send(place.room, "anybody?")
            assert told(await heard(bob.client, place.room, sent["seq"])) == []
            await seen_typing(bob, ann)  # goes from gateway to gateway
            for answer in await run_concurrently(*asked):
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert (answer.json()["temporary"], int(answer.headers["retry-after"]) > 0) == (True, True)
            for replica in stack.presence:
                replica.resume()
            for viewer in (ann, bob):
                await viewer.sees(place.ann, place.bob)
    finally:
        for replica in stack.presence:
            replica.resume()


# Large rooms.


async def command(
    broker: BrokerClient, kind: str, room: str, people: list[Person], sender: Person | None = None
) -> None:
    """Have each of them do it, or `sender` do it to each of them."""
    fields = [
        {**send_command(room, (sender or who).id, ""), "type": kind, **({"user": who.id} if sender else {})}
        for who in people
    ]
    commands = [{name: value for name, value in one.items() if name != "text"} for one in fields]
    for start in range(0, len(commands), BATCH):
        await broker.command(*commands[start : start + BATCH])
    assert {reply["type"] for reply in (await broker.replies(len(commands))).values()} == {"accepted"}


async def follow(gateway: str, who: Person, room: str) -> RawClient:
    client = await raw_sign_in(gateway, who.token)
    await client.push(message(type="join", room=room))
    await client.read_json("joined")
    return client


async def test_a_large_room_is_counted_until_it_is_small_again(
    place: Place, http: httpx.AsyncClient, broker: BrokerClient, gateways: list[str]
) -> None:
    pool = [new_person("crowd") for _ in range(LARGE + 10)]
    await command(broker, "join", place.room, pool)
    async with view(gateways[0], place.ann, place.room) as ann, asyncio.timeout(WITHIN):
        await ann.sees(place.ann)
        half, began, before = len(pool) // 2, time.monotonic(), len(ann.frames)
        clients = [
            client
            for part, gateway in ((pool[:half], gateways[0]), (pool[half:], gateways[1]))
            for client in await run_concurrently(*(follow(gateway, who, place.room) for who in part))
        ]
        try:
            await ann.counts(len(pool) + 1)
            assert len(ann.frames) - before <= 2 + 4 * (time.monotonic() - began)
            await clients[0].push(message(type="status", status="away"))
            await ann.counts(len(pool), 1)
            found = await http.get(f"{gateways[1]}/v1/rooms/{place.room}/presence", headers=place.bob.headers)
            assert found.json() == {"room": place.room, "online": len(pool), "away": 1, "people": None}
            async with view(gateways[1], place.bob, place.room) as bob:  # who comes now is told the count, too
                await bob.look()
                assert bob.people is None
            # Below the one bound, not below the other.
            await command(broker, "remove", place.room, pool[SMALL:], place.ann)
            while ann.count is None or sum(ann.count.values()) > SMALL + 2:
                await ann.look()
                assert ann.people is None
            await command(broker, "remove", place.room, pool[SMALL - 5 : SMALL], place.ann)
            await clients[0].push(message(type="status", status="online"))
            await ann.sees(place.ann, *pool[: SMALL - 5])
        finally:
            for client in clients:
                client.abort()


# Gateways.


async def test_a_gateway_that_stops_in_order_says_goodbye(
    stack: Stack, http: httpx.AsyncClient, place: Place, gateways: list[str]
) -> None:
    """Its people are off after the grace, long before any lease is over; and it is not missed."""
    service = stack.extra("gateway", 5)
    service.start()
    await asyncio.to_thread(service.wait_ready, WITHIN)
    async with view(gateways[0], place.ann, place.room) as ann:
        async with view(service.url, place.bob, place.room) as bob:
            await ann.sees(place.ann, place.bob)
            before = [await metric(replica.url, "warren_presence_leases_expired_total") for replica in stack.presence]
            stopped = time.monotonic()
            await asyncio.to_thread(service.stop)
            assert await bob.client.closed() == 4001
        await ann.sees(place.ann)
        assert GRACE - EARLY < time.monotonic() - stopped < LEASE - HEARTBEAT
        found = await http.get(f"{gateways[0]}/v1/users/{place.bob.id}", headers=place.ann.headers)
        assert (found.json()["status"], found.json()["last_seen"] is None) == ("offline", False)
        after = [await metric(replica.url, "warren_presence_leases_expired_total") for replica in stack.presence]
        assert after == before


async def test_what_arrives_after_a_goodbye_does_not_bring_the_gateway_back(
    stack: Stack, broker: BrokerClient, place: Place, gateways: list[str]
) -> None:
    """The last announcement goes another way through the broker than the goodbye, and may come after it."""
    number, name = shard(place.room), f"gateway-x/{place.room}"
    bob = PresenceChange(room=place.room, user=place.bob.id, name="bob", status="online")

    async def announce(seq: int, *changes: PresenceChange) -> None:
        said = Announcement(gateway=name, shard=number, seq=seq, full=seq == 1, changes=list(changes))
        await broker.publish(PRESENCE, shard_key(number), said.model_dump_json().encode())

    async def silent() -> float:
        return sum([await metric(replica.url, "warren_presence_asked_again_total") for replica in stack.presence])

    async with view(gateways[0], place.ann, place.room) as ann:
        await announce(1, bob)
        await ann.sees(place.ann, place.bob)
        before = await silent()
        await broker.publish(CONTROL, "", Goodbye(gateway=name).model_dump_json().encode())
        await announce(2, bob.model_copy(update={"status": "gone"}))
        await ann.sees(place.ann)
        assert await silent() == before


async def test_what_cannot_be_read_is_refused_and_harms_nothing(
    broker: BrokerClient, place: Place, gateways: list[str]
) -> None:
    async with view(gateways[0], place.ann, place.room) as ann:
        await ann.sees(place.ann)
        for exchange, key in ((PRESENCE, shard_key(shard(place.room))), (CONTROL, "")):
            for body in (
                b"",
                b"\xff",
                b"[]",
                b"{}",
                b'{"type":"announcement"}',
                b'{"type":"resync","shard":99,"term":""}',
            ):
                await broker.publish(exchange, key, body)
        async with view(gateways[1], place.bob, place.room):
            await ann.sees(place.ann, place.bob)
