"""I6: who is removed says and is shown nothing after it, on every gateway, whatever happens at the same time."""

import asyncio
from typing import Any

import httpx
import pytest
from harness.late import insert_late
from harness.member import fresh_room, make_room
from harness.stack import Stack
from harness.talker import Talker, talk
from integration.conftest import Person, Place, new_person, new_place

ENDS = {
    "remove": ("DELETE", "members", "member.removed"),
    "ban": ("PUT", "bans", "member.banned"),
}


async def act(http: httpx.AsyncClient, gateway: str, who: Person, method: str, path: str, **body: Any) -> int:
    """Do it over HTTP and return the seq."""
    answer = await http.request(method, f"{gateway}/v1/rooms/{path}", json=body or None, headers=who.headers)
    answer.raise_for_status()
    seq = answer.json()["seq"]
    assert isinstance(seq, int)
    return seq


async def let_in(http: httpx.AsyncClient, gateway: str, room: str, owner: Person, who: Person) -> None:
    await act(http, gateway, owner, "PUT", f"{room}/members/{who.id}")
    await act(http, gateway, who, "PUT", f"{room}/members/me")


def shown(frames: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for frame in frames if frame["type"] == "events" for event in frame["events"]]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["public", "private"])
async def test_a_removal_ends_what_is_live_on_every_gateway(
    kind: str, end: str, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    place = await new_place(http, gateways[0], kind)
    if kind == "private":
        await let_in(http, gateways[0], place.room, place.ann, place.bob)
    verb, what, because = ENDS[end]
    async with (
        talk(gateways[0], place.bob.token) as here,
        talk(gateways[1], place.bob.token) as there,
        talk(gateways[1], place.ann.token) as ann,
    ):
        for talker in (here, there, ann):
            await talker.join(place.room)
        seq = await act(http, gateways[0], place.ann, verb, f"{place.room}/{what}/{place.bob.id}")
        for talker in (here, there):
            left = await talker.expect("left", room=place.room)
            assert (left["seq"], left["because"]) == (seq, because)
            # The end itself is the last that they are shown.
            assert shown(talker.passed) == [seq]
            talker.passed.clear()
        after = await ann.send(place.room, "just us")
        await ann.events(place.room, after["seq"])
        for talker in (here, there):
            assert await talker.quiet() == []
            refused = await talker.send(place.room, "still me?")
            assert refused["code"] == ("not_found" if kind == "private" else "forbidden")
            again = await talker.join(place.room, since=0)
            history = await http.get(f"{gateways[0]}/v1/rooms/{place.room}/messages", headers=place.bob.headers)
            if (kind, end) == ("public", "remove"):  # anybody may read it, and so may they
                assert (again["type"], history.status_code) == ("joined", 200)
            else:
                code = "not_found" if kind == "private" else "forbidden"
                assert (again["code"], history.json()["code"]) == (code, code)


async def test_leaving_ends_ones_other_connections_too(
    place: Place, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    async with talk(gateways[1], place.bob.token) as other, talk(gateways[0], place.ann.token) as ann:
        await other.join(place.room)
        await ann.join(place.room)
        seq = await act(http, gateways[0], place.bob, "DELETE", f"{place.room}/members/me")
        left = await other.expect("left")
        assert (left["seq"], left["because"]) == (seq, "member.left")
        # Who stays is shown it and reads on.
        assert [event["seq"] for event in await ann.events(place.room, seq)] == [seq]
        sent = await ann.send(place.room, "bye")
        assert [event["seq"] for event in await ann.events(place.room, sent["seq"])] == [sent["seq"]]


async def test_who_was_removed_and_let_in_again_reads_on_from_their_cursor(
    http: httpx.AsyncClient, gateways: list[str]
) -> None:
    place = await new_place(http, gateways[0], "private")
    await let_in(http, gateways[0], place.room, place.ann, place.bob)
    async with talk(gateways[1], place.bob.token) as bob, talk(gateways[0], place.ann.token) as ann:
        joined = await bob.join(place.room)
        removed = await act(http, gateways[0], place.ann, "DELETE", f"{place.room}/members/{place.bob.id}")
        await bob.expect("left")
        await ann.send(place.room, "while bob was away")
        await let_in(http, gateways[1], place.room, place.ann, place.bob)
        bob.passed.clear()
        head = (await bob.join(place.room, since=removed, epoch=joined["epoch"]))["head"]
        assert [event["seq"] for event in await bob.events(place.room, head)] == list(range(removed + 1, head + 1))


class Race:
    """One private room of ann's, in which bob is let in and removed, over and over."""

    def __init__(self, http: httpx.AsyncClient, gateways: list[str], room: str, ann: Person, bob: Person) -> None:
        self.http = http
        self.gateways = gateways
        self.room = room
        self.ann = ann
        self.bob = bob

    async def run(self, rounds: int) -> None:
        here, there = self.gateways
        async with (
            talk(here, self.ann.token) as ann,
            talk(there, self.bob.token) as bob,
            talk(here, self.bob.token) as late,
        ):
            await ann.join(self.room)
            for number in range(rounds):
                await self._round(number, ann, bob, late)

    async def _round(self, number: int, ann: Talker, bob: Talker, late: Talker) -> None:
        await let_in(self.http, self.gateways[0], self.room, self.ann, self.bob)
        start = (await bob.join(self.room))["head"]
        keys = [f"{number}-{part}" for part in range(3)]

        async def say() -> None:
            for key in keys:
                await bob.say(type="send", room=self.room, key=key, text=key)

        async def come() -> None:
            """Join on another connection, from the beginning of this round, while it happens."""
            await late.say(type="join", room=self.room, since=start)

        remove = act(self.http, self.gateways[0], self.ann, "DELETE", f"{self.room}/members/{self.bob.id}")
        removed, *_ = await asyncio.gather(remove, say(), come(), ann.say(type="ping"))
        after = await ann.send(self.room, f"after {number}")
        answers = [await bob.expect("ack", "error", key=key) for key in keys]
        for answer in answers:
            if answer["type"] == "ack":
                assert answer["seq"] < removed
            else:
                assert answer["code"] == "not_found"
        if not any(frame["type"] == "left" for frame in bob.passed):
            await bob.expect("left", room=self.room)
        assert shown(bob.passed) == list(range(start + 1, removed + 1))
        bob.passed.clear()
        await self._late(late, start, removed)
        log = await ann.events(self.room, after["seq"])
        assert not [event for event in log if event["seq"] > removed and event["sender"] == self.bob.id]
        # All of them have had the time to be shown what came after: ann was.
        assert await bob.quiet() == []
        assert await late.quiet() == []

    async def _late(self, late: Talker, start: int, removed: int) -> None:
        first = await late.expect("joined", "error", room=self.room)
        if first["type"] == "joined" and not any(frame["type"] == "left" for frame in late.passed):
            await late.expect("left", room=self.room)
        seqs = shown(late.passed)
        assert seqs == list(range(start + 1, start + 1 + len(seqs)))
        assert max(seqs, default=0) <= removed
        late.passed.clear()


async def test_a_removal_and_sends_at_the_same_instant(
    http: httpx.AsyncClient, gateways: list[str], request: pytest.FixtureRequest
) -> None:
    """Ten rooms side by side; a thousand rounds in all in the long form."""
    rounds = 100 if request.config.getoption("--long") else 10
    races = []
    for _ in range(10):
        ann, bob, room = new_person("ann"), new_person("bob"), fresh_room("race")
        await make_room(http, gateways[0], room, ann.token, "private")
        races.append(Race(http, gateways, room, ann, bob))
    async with asyncio.TaskGroup() as group:
        for race in races:
            group.create_task(race.run(rounds))


async def test_a_removal_that_no_gateway_was_told_of_ends_the_reading_all_the_same(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Its writer died before publishing it; the next event shows the hole, which is filled from the store."""
    place = await new_place(http, gateways[0], "private")
    await let_in(http, gateways[0], place.room, place.ann, place.bob)
    async with talk(gateways[0], place.bob.token) as bob, talk(gateways[1], place.ann.token) as ann:
        head = (await bob.join(place.room))["head"]
        await ann.join(place.room)
        late: dict[str, Any] = {"type": "member.removed", "user": place.bob.id, "number": 0, "unprojected": True}
        insert_late(stack.mongodb.url, place.room, head + 1, place.ann.id, **late)
        after = await ann.send(place.room, "just us")
        assert after["seq"] == head + 2
        left = await bob.expect("left")
        assert (left["seq"], shown(bob.passed)) == (head + 1, [head + 1])
        assert (await bob.send(place.room, "still me?"))["code"] == "not_found"
        assert [event["seq"] for event in await ann.events(place.room, head + 2)] == [head + 1, head + 2]
