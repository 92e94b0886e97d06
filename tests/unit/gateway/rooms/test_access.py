"""What somebody may do in a room, kept up with the events that change it; whom to ask is told by the test."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from harness.recorded_protocol import RecordingSubscriber
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract.codes import Code
from warren.contract.queries import Access, Denied
from warren.supervise import Tasks
from warren_gateway.delivery.batch import EVERYBODY
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms import access as module
from warren_gateway.rooms.access import CHANGES, REMEMBERED, TRIES, AccessCache, check_may_type, may_write
from warren_gateway.rooms.subscription import Subscription

ROOM = "general"
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def access(head: int = 5, **fields: Any) -> Access:
    return Access(
        **{"epoch": "e", "kind": "public", "title": "T", "head": head, "number": 0, "read": 0, "member": True, **fields}
    )


class Presence:
    """Takes note of who is in the room."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    def enter(self, _: str, subscriber: Subscriber) -> None:
        self.present.add(subscriber.user)

    def exit(self, _: str, subscriber: Subscriber, *, revoked: bool = False) -> None:
        self.present.discard(subscriber.user)


class Cache:
    """The cache of a room, its readers, and the answers that it gets, the last one for ever."""

    def __init__(self, *answers: Access | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.readers: list[Subscription] = []
        self.presence = Presence()
        self.work = Tasks("room")
        self.cache = AccessCache(ROOM, self.readers, cast(PresenceClient, self.presence), self._ask, self.work)

    async def _ask(self, subscription: Subscription) -> Access:
        self.asked.append(subscription.user)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def enter(self, user: str, found: Access) -> Subscription:
        """Have somebody become a reader."""
        subscription = Subscription(RecordingSubscriber(user), ROOM)
        self.readers.append(subscription)
        self.cache.admit(subscription, found)
        return subscription


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(module, "pause", pause)


async def test_a_member_is_present_until_they_go() -> None:
    scene = Cache(access())
    ann = scene.enter("ann", access())
    assert (ann.access, scene.presence.present) == (access(), {"ann"})
    scene.cache.drop(ann)
    assert (ann.access, ann.present, scene.presence.present) == (None, False, set())


@pytest.mark.parametrize("found", [access(member=False), access(kind="inbox")], ids=["no member", "an inbox"])
async def test_others_are_not_present(found: Access) -> None:
    scene = Cache(found)
    assert not scene.enter("ann", found).present
    assert scene.presence.present == set()


async def test_a_change_has_those_asked_about_whom_it_concerns() -> None:
    muted = access(head=7, muted=NOW)
    scene = Cache(muted)
    ann, bob = scene.enter("ann", access()), scene.enter("bob", access())
    scene.cache.change(((7, "ann", "member.muted"),))
    await scene.work.done()
    assert scene.asked == ["ann"]
    assert (ann.access, bob.access) == (muted, access())


async def test_a_room_is_archived_for_everybody_at_once_and_in_use_again() -> None:
    scene = Cache(access(head=8))
    ann, bob = scene.enter("ann", access()), scene.enter("bob", access())
    scene.cache.change(((6, EVERYBODY, "room.archived"),))
    assert [one.access.archived for one in (ann, bob) if one.access] == [True, True]
    scene.cache.change(((7, EVERYBODY, "room.archived"), (8, EVERYBODY, "room.unarchived")))
    assert [one.access.archived for one in (ann, bob) if one.access] == [False, False]
    await scene.work.done()
    assert scene.asked == []


@pytest.mark.parametrize("user", ["ann", EVERYBODY])
@pytest.mark.parametrize(("seq", "asked"), [(5, []), (6, ["ann"])])
async def test_a_change_that_comes_while_somebody_joins_is_not_missed(user: str, seq: int, asked: list[str]) -> None:
    """It found no reader to be asked about, and the answer that they join by is of before."""
    scene = Cache(access(head=seq))
    scene.cache.change(((seq, user, "member.muted" if user else "room.archived"),))
    ann = scene.enter("ann", access(head=5))
    await scene.work.done()
    assert scene.asked == asked
    assert ann.access is not None
    assert ann.access.head == seq


async def test_an_answer_that_was_overtaken_changes_nothing() -> None:
    scene = Cache(access(head=4, member=False))
    ann = scene.enter("ann", access(head=5))
    scene.cache.change(((6, "ann", "member.muted"),))
    await scene.work.done()
    assert ann.access == access(head=5)


async def test_an_answer_to_who_has_gone_meanwhile_makes_nobody_present() -> None:
    scene = Cache(access(head=6))
    ann = scene.enter("ann", access())
    scene.cache.change(((6, "ann", "member.muted"),))
    scene.cache.drop(ann)
    await scene.work.done()
    assert (ann.access, scene.presence.present) == (None, set())


@pytest.mark.usefixtures("no_pause")
async def test_while_nobody_answers_it_is_asked_again() -> None:
    scene = Cache(Unavailable("no"), Unavailable("no"), access(head=6, member=False))
    ann = scene.enter("ann", access())
    scene.cache.change(((6, "ann", "member.muted"),))
    await scene.work.done()
    assert (len(scene.asked), ann.access) == (3, access(head=6, member=False))


@pytest.mark.usefixtures("no_pause")
async def test_it_is_not_asked_for_ever() -> None:
    scene = Cache(Unavailable("no"))
    ann = scene.enter("ann", access())
    scene.cache.change(((6, "ann", "member.muted"),))
    await scene.work.done()
    assert (len(scene.asked), ann.access) == (TRIES, access())


async def test_who_may_not_read_any_more_is_left_to_the_event_that_says_so() -> None:
    scene = Cache(QueryDenied(Denied(code=Code.NOT_FOUND, detail="no such room")))
    ann = scene.enter("ann", access())
    scene.cache.change(((6, "ann", "member.muted"),))
    await scene.work.done()
    assert (scene.asked, ann.access) == (["ann"], access())


async def test_what_somebody_was_is_remembered_until_anything_changes() -> None:
    scene = Cache(access(head=9))
    scene.cache.drop(scene.enter("ann", access(head=5)))
    assert scene.cache.remembered("ann", 5) == access(head=5)
    assert scene.cache.remembered("ann", 6) is None, "they have seen more than the answer knows"
    assert scene.cache.remembered("bob", 0) is None
    scene.cache.change(((6, "bob", "member.muted"),))
    assert scene.cache.remembered("ann", 5) is None


async def test_of_another_log_nothing_is_remembered() -> None:
    scene = Cache(access())
    scene.cache.change(((100, EVERYBODY, "room.archived"),))
    scene.cache.drop(scene.enter("ann", access(head=100)))
    scene.cache.restart()
    assert scene.cache.remembered("ann", 0) is None
    scene.enter("bob", access(head=1))
    assert scene.cache.remembered("bob", 0) == access(head=1), "a change of the log before is none of this one's"
    await scene.work.done()
    assert scene.asked == []


async def test_no_more_is_remembered_than_there_may_be() -> None:
    scene = Cache(access())
    for number in range(REMEMBERED + 1):
        scene.cache.drop(scene.enter(f"u{number}", access()))
    assert [scene.cache.remembered(f"u{number}", 0) for number in (0, 1)] == [None, access()]
    for seq in range(6, 6 + CHANGES + 1):
        scene.cache.change(((seq, "zoe", "member.muted"),))
    assert len(scene.cache._changes) == CHANGES


@pytest.mark.parametrize(
    ("found", "may"),
    [
        (access(), True),
        (access(member=False), False),
        (access(archived=True), False),
        (access(muted=NOW + timedelta(seconds=1)), False),
        (access(muted=NOW), True),
    ],
)
def test_who_may_write_may_be_shown_typing(found: Access, *, may: bool) -> None:
    assert may_write(found, NOW) is may
    with contextlib.nullcontext() if may else pytest.raises(QueryDenied):
        check_may_type(found, NOW)


def test_who_is_not_known_may_not_be_shown_typing() -> None:
    with pytest.raises(QueryDenied) as denied:
        check_may_type(None, NOW)
    assert denied.value.code == Code.FORBIDDEN
