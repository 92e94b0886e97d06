"""I6: who is removed says and is shown nothing after it, on every gateway, whatever happens at the same time.

What they are shown otherwise is in test_conformance_rights.py.
"""

import asyncio
from typing import Any

import httpx
import pytest
from harness.direct_insert import insert_directly
from harness.resilient_client import fresh_room, make_room
from harness.scripted_client import ScriptedClient, ScriptedSocketClient, connect, connect_over
from harness.stack import Stack
from harness.transport import Frame, TransportName
from integration.conftest import Person, new_person, new_place

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


def of_room(frames: list[dict[str, Any]], room: str) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame.get("room") == room]


class Race:
    """One private room of ann's, in which bob is let in and removed, over and over. `own` is a room of bob's."""

    def __init__(
        self, transport: TransportName, http: httpx.AsyncClient, gateways: list[str], room: str, own: str, ann: Person,
        bob: Person,
    ) -> None:  # fmt: skip
        self.transport = transport
        self.http = http
        self.gateways = gateways
        self.room = room
        self.own = own
        self.ann = ann
        self.bob = bob

    async def run(self, rounds: int) -> None:
        here, there = self.gateways
        async with (
            connect(here, self.ann.token) as ann,
            connect_over(self.transport, there, self.bob.token) as bob,
            connect_over(self.transport, here, self.bob.token) as late,
        ):
            await ann.join(self.room)
            for each in (bob, late):
                await each.join(self.own)
                each.passed.clear()
            for number in range(rounds):
                await self._round(number, ann, bob, late)

    async def _round(self, number: int, ann: ScriptedSocketClient, bob: ScriptedClient, late: ScriptedClient) -> None:
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
        async with asyncio.TaskGroup() as group:
            removing = group.create_task(remove)
            for other in (say(), come(), ann.say(type="ping")):
                group.create_task(other)
        removed = removing.result()
        after = await ann.send(self.room, f"after {number}")
        ends: list[Frame] = []
        while len(ends) < 1 + len(keys):
            ends.append(await bob.expect("ack", "error", "left"))
        self._judge(bob, ends, start, removed)
        await self._late(late, start, removed)
        log = await ann.events(self.room, after["seq"])
        assert not [event for event in log if event["seq"] > removed and event["sender"] == self.bob.id]
        # All of them have had the time to be shown what came after: ann was.
        for each in (bob, late):
            assert shown(of_room(await each.caught_up(self.own), self.room)) == []

    def _judge(self, bob: ScriptedClient, ends: list[Frame], start: int, removed: int) -> None:
        """What was done before the removal is done, and the rest is refused; all up to the removal was shown."""
        (end,) = [frame for frame in ends if "key" not in frame]
        for answer in ends:
            if answer["type"] == "ack":
                assert answer["seq"] < removed
            elif answer["type"] == "error":
                assert answer["code"] == "not_found"
        seqs = shown(of_room(bob.passed, self.room))
        bob.passed.clear()
        if self.transport == "polling" and end["type"] == "error":  # who was between two polls is told by the next
            assert seqs == list(range(start + 1, start + 1 + len(seqs)))
            assert max(seqs, default=0) < removed
        else:
            assert (end["type"], end["room"]) == ("left", self.room)
            assert seqs == list(range(start + 1, removed + 1))

    async def _late(self, late: ScriptedClient, start: int, removed: int) -> None:
        first = await late.expect("joined", "error", room=self.room)
        if first["type"] == "joined" and not any(frame["type"] == "left" for frame in late.passed):
            end = await late.expect("left", "error", room=self.room)
            assert end["type"] == "left" or (self.transport, end["code"]) == ("polling", "not_found")
        seqs = shown(of_room(late.passed, self.room))
        assert seqs == list(range(start + 1, start + 1 + len(seqs)))
        assert max(seqs, default=0) <= removed
        late.passed.clear()


async def test_a_removal_and_sends_at_the_same_instant(
    transport: TransportName, http: httpx.AsyncClient, gateways: list[str], request: pytest.FixtureRequest
) -> None:
    """Ten rooms side by side; a thousand rounds in all in the long form."""
    rounds = 100 if request.config.getoption("--long") else 3
    races = []
    for _ in range(10):
        ann, bob, room, own = new_person("ann"), new_person("bob"), fresh_room("race"), fresh_room("own")
        await make_room(http, gateways[0], room, ann.token, "private")
        await make_room(http, gateways[0], own, bob.token, "private")
        races.append(Race(transport, http, gateways, room, own, ann, bob))
    async with asyncio.TaskGroup() as group:
        for race in races:
            group.create_task(race.run(rounds))


async def test_a_removal_that_no_gateway_was_told_of_ends_the_reading_all_the_same(
    stack: Stack, http: httpx.AsyncClient, gateways: list[str]
) -> None:
    """Its writer died before publishing it; the next event shows the hole, which is filled from the store."""
    place = await new_place(http, gateways[0], "private")
    await let_in(http, gateways[0], place.room, place.ann, place.bob)
    async with (
        connect(gateways[0], place.bob.token) as bob,
        connect(gateways[1], place.ann.token) as ann,
    ):
        head = (await bob.join(place.room))["head"]
        await ann.join(place.room)
        late: dict[str, Any] = {"type": "member.removed", "user": place.bob.id, "number": 0, "unprojected": True}
        insert_directly(stack.mongodb.url, place.room, head + 1, place.ann.id, **late)
        after = await ann.send(place.room, "just us")
        assert after["seq"] == head + 2
        left = await bob.expect("left")
        assert (left["seq"], shown(bob.passed)) == (head + 1, [head + 1])
        assert (await bob.send(place.room, "still me?"))["code"] == "not_found"
        assert [event["seq"] for event in await ann.events(place.room, head + 2)] == [head + 1, head + 2]
