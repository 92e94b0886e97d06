"""Who is shown what of presence and typing, and whose word is taken for it."""

import asyncio
from collections.abc import Iterable

import pytest
from harness.delivered import delivered
from harness.recorded_protocol import RecordingSubscriber
from pydantic import BaseModel
from pydantic_core import from_json
from warren.broker.errors import Unavailable
from warren.contract import presence as p
from warren.contract.bots import bot_user
from warren.contract.topology import LIVE, event_key
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.presence import client as client_module
from warren_gateway.presence.client import PresenceClient
from warren_gateway.presence.incoming import EphemeralMessages

ROOM = "general"
BOT = bot_user("helper")
ANN = p.Present(user="ann", name="Ann", status="online")


class Audience:
    """The members of one room; `writers`: who may write there."""

    def __init__(self, *members: RecordingSubscriber, writers: Iterable[str] = ()) -> None:
        self._members = members
        self._writers = set(writers)

    def members(self, name: str) -> Iterable[Subscriber]:
        """Return them."""
        return self._members if name == ROOM else ()

    async def may_write(self, name: str, user: str) -> bool:
        """Return whether they are among the writers."""
        return name == ROOM and user in self._writers


class Scene:
    """A gateway's presence, and the room's members."""

    def __init__(self, *users: str, writers: Iterable[str] = ()) -> None:
        self.members = [RecordingSubscriber(user) for user in users]
        self.client = PresenceClient("test/1")
        self.client.audience = Audience(*self.members, writers=writers)
        self._messages = EphemeralMessages(self.client)
        for member in self.members:
            self.client.open(member, member.user.title())
            self.client.enter(ROOM, member)

    def arrives(
        self, frame: BaseModel, *, user: str | None = "gateway", room: str = ROOM, term: str = "t", **more: object
    ) -> None:
        """Have a message arrive."""
        body = frame.model_copy(update=more).model_dump_json(exclude_none=True).encode()
        self._messages.take(delivered(LIVE, event_key(room), body, user=user, headers={"term": term}))

    async def settled(self) -> None:
        """Wait until what bots said was judged."""
        await self._messages._tasks.done()

    @property
    def shown(self) -> list[list[str]]:
        """The kinds of frames that each member was shown."""
        return [[frame.kind for frame in member.ephemeral] for member in self.members]


def state(version: int, *people: p.Present) -> p.Presence:
    return p.Presence(room=ROOM, version=version, state=list(people))


def typing(user: str, room: str = ROOM) -> p.IsTyping:
    return p.IsTyping(room=room, user=user, name=user.title())


async def test_who_enters_is_shown_who_is_there_as_soon_as_that_is_known() -> None:
    scene = Scene("ann")
    assert scene.shown == [[]]
    scene.arrives(state(1, ANN))
    assert scene.shown == [["presence"]]
    late = RecordingSubscriber("bob")
    scene.client.open(late, "Bob")
    scene.client.enter(ROOM, late)
    assert [from_json(frame.body)["state"][0]["user"] for frame in late.ephemeral] == ["ann"]


async def test_presence_goes_to_the_members_and_a_frame_that_does_not_follow_to_nobody() -> None:
    scene = Scene("ann", "bob")
    scene.arrives(state(1, ANN))
    scene.arrives(p.Presence(room=ROOM, version=2, diff=[ANN]))
    scene.arrives(p.Presence(room=ROOM, version=4, diff=[ANN]))
    assert scene.shown == [["presence"] * 2] * 2
    assert scene.client.known(ROOM) is None
    scene.arrives(state(5, ANN))
    assert scene.client.known(ROOM) is not None


async def test_typing_is_shown_to_all_members_but_the_one_who_types() -> None:
    scene = Scene("ann", "bob", "cem")
    scene.arrives(typing("bob"))
    assert scene.shown == [["typing"], [], ["typing"]]


async def test_what_nobody_vouches_for_or_makes_no_sense_is_shown_to_nobody() -> None:
    scene = Scene("ann")
    scene.arrives(typing("bob"), user=None)
    scene.arrives(typing("bob"), type="zork")
    scene.arrives(typing("bob", "elsewhere"), room="elsewhere")
    assert scene.shown == [[]]


async def test_a_bot_types_as_itself_where_it_may_write_and_says_no_more_than_a_frame_has() -> None:
    scene = Scene("ann", writers=[BOT])
    scene.arrives(typing(BOT), user=BOT)
    await scene.settled()
    assert scene.shown == [["typing"]]
    assert from_json(scene.members[0].ephemeral[0].body).keys() == {"type", "room", "user", "name"}


@pytest.mark.parametrize(("said", "room"), [(typing("ann"), ROOM), (typing(BOT), "elsewhere"), (state(1, ANN), ROOM)])
async def test_a_bot_speaks_for_nobody_else_nor_in_another_room_nor_for_the_service(said: BaseModel, room: str) -> None:
    scene = Scene("ann", writers=[BOT])
    scene.arrives(said, user=BOT, room=room)
    await scene.settled()
    assert scene.shown == [[]]


async def test_a_bot_that_may_not_write_is_not_shown_typing() -> None:
    scene = Scene("ann")
    scene.arrives(typing(BOT), user=BOT)
    await scene.settled()
    assert scene.shown == [[]]


async def test_a_snapshot_is_waited_for_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene("ann")
    waiting = asyncio.create_task(scene.client.snapshot(ROOM))
    await asyncio.sleep(0)
    scene.arrives(state(1, ANN))
    assert (await waiting).people == [ANN]
    monkeypatch.setattr(client_module, "ANSWER_WITHIN", 0.0)
    with pytest.raises(Unavailable):
        await scene.client.snapshot("unheard-of")


async def test_somebodys_status_is_one_answer_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    asking = [asyncio.create_task(scene.client.user_status("bob")) for _ in range(2)]
    await asyncio.sleep(0)
    scene.arrives(p.UserStatus(user="bob", status="away"))
    assert {(await each).status for each in asking} == {"away"}
    monkeypatch.setattr(client_module, "ANSWER_WITHIN", 0.0)
    with pytest.raises(Unavailable):
        await scene.client.user_status("bob")
    assert not scene.client._lookups


async def test_after_a_reconnect_nothing_is_known_until_it_is_said_again() -> None:
    scene = Scene("ann")
    scene.arrives(state(1, ANN))
    scene.client._connected()
    assert scene.client.known(ROOM) is None
    scene.arrives(state(1, ANN), term="u")
    assert scene.client.known(ROOM) is not None


async def test_what_is_missing_is_asked_for_until_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ASK_AGAIN", 0.0)
    scene, asked = Scene("ann"), list[str]()
    monkeypatch.setattr(scene.client._announcer, "ask", asked.append)
    asking = asyncio.create_task(scene.client._ask_again())

    async def rounds() -> int:
        """Return how often it is asked for in some rounds."""
        asked.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        return len(asked)

    assert await rounds() > 1
    scene.arrives(state(1, ANN))
    assert await rounds() == 0
    assert not scene.client._unsynced
    scene.arrives(p.Presence(room=ROOM, version=3, diff=[ANN]))  # version 2 is lost
    assert await rounds() > 1
    scene.arrives(state(4, ANN))
    assert await rounds() == 0
    scene.client._connected()
    assert await rounds() > 1
    del scene.client._rooms[ROOM]
    assert await rounds() == 0
    asking.cancel()
