"""Every transport: who may not read is told so in the same words; whose reading ends is shown the end and no more."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from harness.broker_client import BrokerClient
from harness.concurrency import run_concurrently
from harness.resilient_client import fresh_room, make_room
from harness.scripted_client import ScriptedClient, connect, connect_over
from harness.stack import Stack
from harness.tokens import token
from harness.transport import TRANSPORTS, TransportClosed, TransportName
from integration.conftest import Person, Place, become_known, new_person, new_place, seqs, settled
from integration.test_member_removal import ENDS, act, let_in, shown
from integration.test_writer_unavailable import absence
from warren.contract.ids import direct_room, inbox_room

CODE = {"public": "forbidden", "private": "not_found"}


async def own_room(http: httpx.AsyncClient, gateway: str, who: Person) -> str:
    """Make a room that somebody may go on with, whatever becomes of the others."""
    room = fresh_room("own")
    await make_room(http, gateway, room, who.token, "private")
    return room


@asynccontextmanager
async def everywhere(transport: TransportName, gateways: list[str], who: Person) -> AsyncIterator[list[ScriptedClient]]:
    """Be connected to each gateway."""
    async with AsyncExitStack() as exits:
        yield [await exits.enter_async_context(connect_over(transport, gateway, who.token)) for gateway in gateways]


async def assert_no_more(client: ScriptedClient, own: str) -> None:
    """Nothing but the own room's events comes any more."""
    assert {frame["type"] for frame in await client.caught_up(own)} <= {"welcome", "presence"}


@pytest.mark.parametrize("end", [*ENDS, "leave"])
@pytest.mark.parametrize("kind", ["public", "private"])
async def test_the_end_of_a_membership_ends_what_is_live_on_every_gateway(
    transport: TransportName, kind: str, end: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    place = await new_place(http, gateways[0], kind)
    if kind == "private":
        await let_in(http, gateways[0], place.room, place.ann, place.bob)
    own = await own_room(http, gateways[0], place.bob)
    async with (
        everywhere(transport, gateways, place.bob) as bobs,
        connect(gateways[1], place.ann.token) as ann,
    ):
        await ann.join(place.room)
        for bob in bobs:
            await bob.join(own)
            await bob.join(place.room)
        await settled(transport, *gateways)
        verb, what, because = ENDS.get(end, ("DELETE", "members", "member.left"))
        who = place.bob if end == "leave" else place.ann
        seq = await act(http, gateways[0], who, verb, f"{place.room}/{what}/{place.bob.id}")
        for bob in bobs:
            left = await bob.expect("left", room=place.room)
            assert (left["seq"], left["because"]) == (seq, because)
            # The end itself is the last that they are shown.
            assert shown(bob.passed) == [seq]
            bob.passed.clear()
        after = await ann.send(place.room, "just us")
        assert seqs(await ann.events(place.room, after["seq"])) == [seq, after["seq"]]
        for bob in bobs:
            await assert_no_more(bob, own)
            refused = await bob.send(place.room, "still me?")
            assert refused["code"] == CODE[kind]
            again = await bob.join(place.room, since=0)
            if kind == "public" and end != "ban":  # anybody may read it, and so may they
                assert seqs(await bob.events(place.room, after["seq"])) == list(range(1, after["seq"] + 1))
            else:
                assert (again["type"], again["code"]) == ("error", CODE[kind])
                await assert_no_more(bob, own)


async def test_who_was_removed_and_let_in_again_reads_on_from_their_cursor(
    transport: TransportName, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    place = await new_place(http, gateways[0], "private")
    await let_in(http, gateways[0], place.room, place.ann, place.bob)
    async with (
        connect_over(transport, gateways[1], place.bob.token) as bob,
        connect(gateways[0], place.ann.token) as ann,
    ):
        joined = await bob.join(place.room)
        await settled(transport, gateways[1])
        removed = await act(http, gateways[0], place.ann, "DELETE", f"{place.room}/members/{place.bob.id}")
        await bob.expect("left")
        await ann.send(place.room, "while bob was away")
        await let_in(http, gateways[1], place.room, place.ann, place.bob)
        bob.passed.clear()
        head = (await bob.join(place.room, since=removed, epoch=joined["epoch"]))["head"]
        assert seqs(await bob.events(place.room, head)) == list(range(removed + 1, head + 1))


async def test_a_removal_while_a_long_replay_is_under_way_is_its_end(
    transport: TransportName, http: httpx.AsyncClient, gateways: list[str], broker: BrokerClient
) -> None:
    """Somebody who may not read any more is shown no more than what came before."""
    place = await new_place(http, gateways[0], "private")
    await let_in(http, gateways[0], place.room, place.ann, place.bob)
    head = await broker.fill(place.room, place.ann.id, ["x" * 4_000] * 300)
    async with (
        connect_over(transport, gateways[1], place.bob.token) as bob,
        connect(gateways[1], place.ann.token) as ann,
    ):
        await ann.join(place.room)
        await bob.say(type="join", room=place.room, since=0)
        removed = await act(http, gateways[0], place.ann, "DELETE", f"{place.room}/members/{place.bob.id}")
        assert removed == head + 1
        await ann.events(place.room, (await ann.send(place.room, "just us"))["seq"])
        over = await bob.expect("left", "error")
        found = shown(bob.passed)
        assert found == list(range(1, len(found) + 1))
        assert max(found, default=0) <= removed
        assert over.get("because") in ("member.removed", "access") or over["code"] == "not_found"
        assert (await bob.join(place.room, since=0))["code"] == "not_found"


@pytest.fixture
async def hidden(http: httpx.AsyncClient, gateways: list[str]) -> tuple[Person, dict[str, str]]:
    """A stranger, and rooms that are there and none of their business, by kind."""
    place = await new_place(http, gateways[0], "private")
    await become_known(http, gateways[0], place.bob)
    asked = {"json": {"user": place.bob.id}, "headers": place.ann.headers}
    (await http.post(f"{gateways[0]}/v1/direct", **asked)).raise_for_status()  # type: ignore[arg-type]
    inbox = inbox_room(place.bob.id)
    return place.eve, {
        "private": place.room,
        "direct": direct_room(place.ann.id, place.bob.id),
        "inbox": inbox,
    }


async def test_a_room_of_others_answers_as_one_that_does_not_exist(
    transport: TransportName, hidden: tuple[Person, dict[str, str]], http: httpx.AsyncClient, gateways: list[str]
) -> None:
    eve, rooms = hidden
    own = await own_room(http, gateways[0], eve)
    cursors: list[dict[str, Any]] = [{}, {"since": 0}, {"since": 2}, {"since": 10**14}]
    async with connect_over(transport, gateways[1], eve.token) as client:
        assert (await client.join(own))["type"] == "joined"
        for room in rooms.values():
            unknown = room[:3] + "0" * (len(room) - 3)
            for place in cursors:
                asked = [await client.join(each, **place) for each in (room, unknown)]
                answers = [json.dumps(answer).replace(answer["room"], "ROOM") for answer in asked]
                assert answers[0] == answers[1]
                assert (asked[0]["code"], asked[0]["temporary"]) == ("not_found", False)
            refused = [await client.send(each, "hi", "k") for each in (room, unknown)]
            assert {answer["code"] for answer in refused} == {"not_found"}
        await assert_no_more(client, own)


async def test_what_is_no_room_is_said_and_the_others_go_on(
    transport: TransportName, http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    own = await own_room(http, gateways[0], place.bob)
    async with connect_over(transport, gateways[0], place.bob.token) as bob:
        await bob.join(own)
        for room in ("General", "", "-a", "a b", "a.b", "#", "ü", "a\n", "@you", "a" * 65):
            error = await bob.join(room)
            assert (error["code"], error["temporary"], error["room"]) == ("invalid", False, room)
            assert error["detail"]
        await assert_no_more(bob, own)


async def test_what_fails_for_now_is_said_to_and_works_later(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str], place: Place
) -> None:
    """All of them wait at the same time, for as long as the gateway does."""
    room = await own_room(http, gateways[0], place.bob)
    async with AsyncExitStack() as exits:
        bobs = [
            await exits.enter_async_context(connect_over(each, gateways[0], place.bob.token)) for each in TRANSPORTS
        ]
        for bob in bobs:
            await bob.join(room)
        async with absence(stack):
            for bob in bobs:
                await bob.say(type="join", room=place.room)
            for bob in bobs:
                error = await bob.expect("error", room=place.room)
                assert (error["code"], error["temporary"]) == ("unavailable", True)
        for bob in bobs:
            assert (await bob.join(place.room))["type"] == "joined"
            await assert_no_more(bob, room)


BAD = {
    "garbage": "garbage",
    "foreign": token("ann", secret="another-secret-another-secret-another-secret"),
    "expired": token("ann", expires_in=-60),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_refused_for_good(transport: TransportName, gateways: list[str], bad: str) -> None:
    async with connect_over(transport, gateways[0], bad) as nobody:
        with pytest.raises(TransportClosed) as closed:
            await nobody.join("@me")
        assert closed.value.code == 4503
        assert nobody.passed == []


async def test_a_token_that_expires_in_the_middle_ends_it(gateways: list[str], place: Place) -> None:
    """What comes before is shown; a stream says `bye` while the token is still good, a poll is answered."""
    expires_in = 5
    until = time.time() + expires_in
    short = token(place.bob.id, expires_in=expires_in)

    async def follow(transport: TransportName) -> float:
        async with connect_over(transport, gateways[0], short) as bob:
            await bob.join(place.room)
            ack = await bob.send(place.room, "in time")
            await bob.events(place.room, ack["seq"])
            assert await bob.closed() == 4503
            byes = [frame for frame in bob.passed if frame["type"] == "bye"]
            assert [bye["code"] for bye in byes] == ([4503] if transport == "sse" else [])
            return time.time()

    ended = dict(zip(TRANSPORTS, await run_concurrently(*map(follow, TRANSPORTS)), strict=True))
    assert ended["sse"] < until
    assert ended["polling"] > until - 1  # the token is good to the last whole second
    assert max(ended.values()) < until + 5


async def test_a_fresh_token_goes_on_where_the_old_one_ended(
    transport: TransportName, gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    person = new_person("eve")
    async with connect_over(transport, gateways[0], token(person.id, expires_in=60)) as one:
        joined = await one.join(place.room)
    head = await broker.fill(place.room, place.ann.id, ["x"] * 3)
    async with connect_over(transport, gateways[1], token(person.id)) as other:
        await other.join(place.room, joined["head"], joined["epoch"])
        assert seqs(await other.events(place.room, head)) == [3, 4, 5]
