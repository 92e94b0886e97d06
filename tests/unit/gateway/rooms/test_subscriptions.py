"""Who gets which events of a room, from the join to the end of the subscription; the store answers as it is told."""

import asyncio
from typing import Any, cast

import pytest
from harness.recorded_protocol import RecordingSubscriber
from pydantic import BaseModel
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.codes import Code
from warren.contract.frames import Joined, Left
from warren.contract.ids import inbox_room
from warren.contract.queries import (
    Access,
    Accesses,
    Denied,
    EventRange,
    Head,
    Heads,
    HeadsAnswer,
    Range,
    RoomAccess,
    RoomAccesses,
)
from warren_gateway.delivery.batch import EventBatch, pack
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.gathered_lookup import AT_ONCE
from warren_gateway.rooms.registry import RoomRegistry
from warren_gateway.rooms.subscription import Subscription

ROOM = "general"


class Store:
    """A room's log, and who may not read it."""

    def __init__(self, head: int = 0) -> None:
        self.epoch = "one"
        self.head = head
        self.denied: set[str] = set()
        self.member = True
        self.asked = 0
        self.ranges = 0
        self.away = False
        self.under_way = self.most_under_way = 0

    async def ask(self, query: BaseModel, kind: type[BaseModel]) -> BaseModel:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            return self.answer(query)
        finally:
            self.under_way -= 1

    def answer(self, query: BaseModel) -> BaseModel:
        if self.away:
            raise Unavailable("no answer in time")
        match query:
            case Heads():
                return HeadsAnswer(epoch=self.epoch, heads={ROOM: Head(head=self.head, number=self.head)})
            case RoomAccess(user=user):
                found = self.access(user)
                if isinstance(found, Denied):
                    raise QueryDenied(found)
                return found
            case RoomAccesses(queries=queries):
                return Accesses(answers=[self.access(one.user) for one in queries])
            case EventRange(after=after):
                self.ranges += 1
                events = [message(seq) for seq in range(after + 1, self.head + 1)]
                return Range(epoch=self.epoch, events=events, head=self.head)
        raise AssertionError(query)

    def access(self, user: str) -> Access | Denied:
        self.asked += 1
        if user in self.denied:
            return Denied(code=Code.NOT_FOUND, detail="no such room")
        return Access(
            epoch=self.epoch, kind="public", title="T", head=self.head, number=self.head, read=0, member=self.member
        )


def message(seq: int) -> dict[str, Any]:
    return {"id": str(seq), "seq": seq, "type": "message", "number": seq, "text": "x"}


class Scene:
    """A gateway's registry, and the store behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, head: int = 0) -> None:
        self.store = Store(head)
        self.presence = PresenceClient("test/1")
        self.registry = RoomRegistry(cast(RpcClient, self.store), self.presence, 2**20)

        async def bound(_: str) -> None:
            return

        monkeypatch.setattr(self.registry.events.queue, "bind", bound)
        monkeypatch.setattr(self.registry.events.queue, "tidy", lambda: bound(""))

    async def join(
        self, user: str, since: int | None = None, epoch: str | None = None
    ) -> tuple[RecordingSubscriber, Subscription]:
        """Have somebody join."""
        subscriber = RecordingSubscriber(user)
        subscription = Subscription(subscriber, ROOM)
        self.presence.open(subscriber, user.title())
        try:
            await self.registry.join(subscription, since, epoch)
        finally:
            subscription.joining = False
        return subscriber, subscription

    def arrives(self, *events: dict[str, Any], epoch: str = "one") -> None:
        """Have events come from the broker."""
        self.store.head = max(self.store.head, events[-1]["seq"])
        self.registry._take(ROOM, epoch, pack(ROOM, list(events), events[-1]["seq"]))

    async def work_done(self) -> None:
        """Wait for what the room has begun."""
        await self.registry._rooms[ROOM].work.done()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_who_joins_gets_what_comes_then_and_who_names_a_cursor_what_they_missed_too(scene: Scene) -> None:
    scene.store.head = 3
    fresh, _ = await scene.join("ann")
    resumed, _ = await scene.join("bob", since=1)
    scene.arrives(message(4))
    assert fresh.events == [4]
    assert resumed.events == [2, 3, 4]
    assert isinstance(resumed.sent[0], Joined)
    assert (resumed.sent[0].head, resumed.sent[0].reset) == (3, False)


async def test_who_comes_back_at_once_has_the_store_asked_once_for_what_they_missed(scene: Scene) -> None:
    scene.store.head = 5
    back = await asyncio.gather(*(scene.join(f"u{number}", since=2) for number in range(10)))
    later = [await scene.join("late", since=2), await scene.join("later", since=4)]
    assert [found.events for found, _ in (*back, *later)] == [[3, 4, 5]] * 11 + [[5]]
    assert scene.store.ranges == 1


@pytest.mark.parametrize("turns", range(18))
async def test_what_comes_while_the_missed_is_read_follows_it_and_is_shown_once(scene: Scene, turns: int) -> None:
    scene.store.head = 3
    await scene.join("ann")
    returning = asyncio.gather(*(scene.join(user, since=1) for user in ("bob", "carol")))
    for _ in range(turns):
        await asyncio.sleep(0)
    scene.arrives(message(4))
    back = [*await returning, await scene.join("dave", since=1)]
    scene.arrives(message(5))
    assert [found.events for found, _ in back] == [[2, 3, 4, 5]] * 3


async def test_a_read_that_fails_does_so_for_all_who_share_it_and_for_nobody_after(scene: Scene) -> None:
    scene.store.head = 3
    room = (await scene.join("ann"), scene.registry._rooms[ROOM])[1]
    scene.store.away = True
    together = [scene.registry._repair.read_together(room, 1) for _ in range(3)]
    found = await asyncio.gather(*together, return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 3
    scene.store.away = False
    bob, _ = await scene.join("bob", since=1)
    assert bob.events == [2, 3]


async def test_however_many_come_at_once_the_store_is_asked_so_much_at_once_and_all_are_let_in(scene: Scene) -> None:
    scene.store.head = 1
    found = await asyncio.gather(*(scene.join(f"u{number}") for number in range(1_000)))
    assert all(subscription.active for _, subscription in found)
    assert scene.store.asked == 1_000
    assert scene.store.most_under_way <= AT_ONCE + 1  # and the room's head


@pytest.mark.parametrize(("since", "epoch"), [(9, None), (1, "another")])
async def test_a_cursor_of_another_log_is_a_reset_and_replays_nothing(scene: Scene, since: int, epoch: str) -> None:
    scene.store.head = 3
    subscriber, _ = await scene.join("ann", since, epoch)
    assert isinstance(subscriber.sent[0], Joined)
    assert subscriber.sent[0].reset
    assert subscriber.events == []


async def test_who_leaves_gets_nothing_more_and_may_join_again(scene: Scene) -> None:
    subscriber, subscription = await scene.join("ann")
    scene.arrives(message(1))
    scene.registry.leave(subscription)
    scene.arrives(message(2))
    assert (subscriber.events, subscription.current) == ([1], False)
    again, _ = await scene.join("ann", since=1)
    assert again.events == [2]


async def test_a_revocation_is_the_last_event_for_its_person_and_for_nobody_else(scene: Scene) -> None:
    ann, of_ann = await scene.join("ann")
    bob, of_bob = await scene.join("bob")
    scene.arrives(message(1), {"id": "2", "seq": 2, "type": "member.removed", "user": "ann"}, message(3))
    assert (ann.events, bob.events) == ([1, 2], [1, 2, 3])
    assert ann.ended == [Left(room=ROOM, seq=2, because="member.removed")]
    assert (of_ann.current, of_ann.access, of_bob.active) == (False, None, True)
    assert list(scene.registry.members(ROOM)) == [bob]


async def test_who_may_not_read_has_no_subscription(scene: Scene) -> None:
    scene.store.denied.add("ann")
    with pytest.raises(QueryDenied):
        await scene.join("ann")
    scene.arrives(message(1))
    assert list(scene.registry.members(ROOM)) == []


async def test_a_gap_is_filled_from_the_store_before_what_came_after_it(scene: Scene) -> None:
    subscriber, _ = await scene.join("ann")
    scene.arrives(message(1))
    scene.arrives(message(4))
    assert subscriber.events == [1]
    await scene.work_done()
    assert subscriber.events == [1, 2, 3, 4]


async def test_members_alone_are_present(scene: Scene) -> None:
    scene.store.member = False
    await scene.join("ann")
    assert list(scene.registry.members(ROOM)) == []
    scene.store.member = True
    bob, _ = await scene.join("bob")
    assert list(scene.registry.members(ROOM)) == [bob]


async def test_an_access_change_has_the_access_asked_for_again(scene: Scene) -> None:
    _, subscription = await scene.join("ann")
    scene.arrives({"id": "1", "seq": 1, "type": "member.muted", "user": "ann"})
    scene.store.member = False
    await scene.work_done()
    assert subscription.access is not None
    assert (subscription.access.head, subscription.access.member) == (1, False)


async def test_nobody_writes_in_a_room_from_the_event_that_archives_it(scene: Scene) -> None:
    _, subscription = await scene.join("ann")
    scene.arrives({"id": "1", "seq": 1, "type": "room.archived"})
    assert subscription.access is not None
    assert subscription.access.archived


async def test_a_new_epoch_readmits_with_a_reset_and_expels_who_may_not_read_there(scene: Scene) -> None:
    ann, of_ann = await scene.join("ann")
    bob, of_bob = await scene.join("bob")
    scene.store.epoch, scene.store.head = "two", 5
    scene.store.denied.add("bob")
    scene.arrives(message(5), epoch="two")
    await scene.registry.heads.compare_doubtful()
    await scene.work_done()
    assert isinstance(ann.sent[-1], Joined)
    assert (ann.sent[-1].epoch, ann.sent[-1].head, ann.sent[-1].reset, of_ann.active) == ("two", 5, True, True)
    assert (bob.ended, of_bob.current) == ([Left(room=ROOM, because="access")], False)
    scene.arrives(message(6), epoch="two")
    assert (ann.events, bob.events) == ([6], [])


async def test_after_what_nobody_foresaw_all_are_asked_to_join_again(scene: Scene) -> None:
    class Failing(RecordingSubscriber):
        def broadcast(self, batch: EventBatch) -> None:
            raise RuntimeError("nobody foresaw this")

    ann, of_ann = await scene.join("ann")
    failing = Subscription(Failing("bob"), ROOM)
    await scene.registry.join(failing, None, None)
    scene.arrives(message(1))
    assert (ann.lost, of_ann.current) == ([ROOM], False)
    again, _ = await scene.join("ann", since=0)
    assert again.events == [1]


async def test_who_comes_back_at_the_head_is_not_asked_about_until_access_changes(scene: Scene) -> None:
    _, subscription = await scene.join("ann")
    scene.registry.leave(subscription)
    assert scene.registry.knows(ROOM, "ann", 0)
    await scene.join("ann", since=0)
    assert scene.store.asked == 1
    scene.arrives({"id": "1", "seq": 1, "type": "member.muted", "user": "ann"})
    assert not scene.registry.knows(ROOM, "ann", 1)


async def test_a_room_goes_when_nobody_has_followed_it_at_two_sweeps(scene: Scene) -> None:
    _, subscription = await scene.join("ann")
    await scene.registry._sweep()
    await scene.registry._sweep()
    assert ROOM in scene.registry._rooms
    scene.registry.leave(subscription)
    await scene.registry._sweep()
    assert ROOM in scene.registry._rooms
    await scene.registry._sweep()
    assert ROOM not in scene.registry._rooms


async def test_who_follows_their_inbox_no_more_is_still_announced_as_connected(scene: Scene) -> None:
    inbox = inbox_room("ann")
    subscriber = RecordingSubscriber("ann")
    scene.presence.open(subscriber, "Ann")
    scene.presence._announcer.announcements(0.0)
    scene.registry._room(inbox)
    scene.registry.leave(Subscription(subscriber, inbox))
    assert scene.presence._announcer.announcements(0.0) == []
