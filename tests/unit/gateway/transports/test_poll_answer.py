"""What one poll is answered with."""

import asyncio
from typing import Any

import hypothesis.strategies as st
from fastapi.responses import JSONResponse
from hypothesis import given, settings
from warren.contract.frames import Error, Joined, Left
from warren.contract.presence import IsTyping, Partial, Presence, Present
from warren.contract.sizes import SERVER_FRAME_LIMIT
from warren_gateway.delivery.batch import EventBatch, Frame, pack, packs
from warren_gateway.presence.snapshot import PresenceSnapshot
from warren_gateway.transports.cursors import Cursors, Position
from warren_gateway.transports.poll_answer import TYPISTS, PollTransport

property_test = settings(max_examples=30, deadline=None)
ROOM = "general"
EPOCH = "e1"
WITHIN = 10.0


def batch(first: int, last: int, size: int = 10, room: str = ROOM) -> EventBatch:
    return pack(room, [{"seq": seq, "type": "message", "text": "x" * size} for seq in range(first, last + 1)], last)


def joined(head: int, *, reset: bool = False, epoch: str = EPOCH) -> Joined:
    return Joined(room=ROOM, epoch=epoch, head=head, number=head, read=0, reset=reset)


def answer(since: int | None = 0, presence: str | None = None, roster: PresenceSnapshot | None = None) -> PollTransport:
    position = Position() if since is None else Position(since, EPOCH)
    known = {} if presence is None else {ROOM: presence}
    return PollTransport(Cursors({ROOM: position}), known, {ROOM: roster}.get)


def roster(*people: str) -> PresenceSnapshot:
    found = PresenceSnapshot(ROOM)
    state = [Present(user=user, name=user, status="online") for user in people]
    assert found.take("term", Presence(room=ROOM, version=1, state=state))
    return found


def encoded(body: dict[str, Any]) -> int:
    """Return how many bytes the answer has."""
    return len(JSONResponse(body).body)


async def is_ready(one: PollTransport) -> bool:
    """Say whether the answer waits no more."""
    waiting = asyncio.create_task(one.wait(WITHIN))
    for _ in range(3):
        await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    return done


def cursor(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["cursors"][ROOM]
    return found


async def test_nothing_new_is_waited_for() -> None:
    one = answer(since=5)
    one.send_frame(joined(5))
    assert not await is_ready(one)
    assert one.body() == {"rooms": {}, "cursors": {ROOM: {"since": 5, "epoch": EPOCH}}}


async def test_where_a_room_stands_is_news_to_who_does_not_know_it() -> None:
    one = answer(since=None)
    one.send_frame(joined(57))
    assert await is_ready(one)
    body = one.body()
    assert body["rooms"][ROOM] == {"epoch": EPOCH, "head": 57, "number": 57, "read": 0, "reset": False}
    assert cursor(body) == {"since": 57, "epoch": EPOCH}


async def test_events_move_the_cursor_that_has_to_come_back() -> None:
    one = answer()
    one.send_frame(joined(3))
    one.broadcast(batch(1, 2))
    one.broadcast(batch(3, 3))
    assert await is_ready(one)
    body = one.body()
    assert [event["seq"] for event in body["rooms"][ROOM]["events"]] == [1, 2, 3]
    assert cursor(body) == {"since": 3, "epoch": EPOCH}


async def test_what_there_is_no_room_for_comes_with_the_next_answer() -> None:
    one = answer()
    one.send_frame(joined(1_000))
    seq = 0
    while await one.drained():
        seq += 1
        one.broadcast(batch(seq, seq, size=4_000))
    one.broadcast(batch(seq + 1, seq + 1))  # small enough, and still too late
    body = one.body()
    assert len(body["rooms"][ROOM]["events"]) == seq - 1 == cursor(body)["since"]
    assert SERVER_FRAME_LIMIT * 0.9 < encoded(body) <= SERVER_FRAME_LIMIT


@property_test
@given(
    st.integers(1, 300),
    st.lists(
        st.tuples(st.sampled_from(["events", "presence", "typing", "partial", "error", "left"]), st.integers(0, 9))
    ),
    st.sampled_from("x\x01\N{RABBIT}"),
    st.integers(0, 40),
)
def test_no_answer_is_larger_than_a_frame_whatever_is_in_it(
    rooms: int, news: list[tuple[str, int]], character: str, most: int
) -> None:
    """And whoever asks again with its cursors gets all events once."""
    asyncio.run(_gather_all(rooms, news, character, most))


async def _gather_all(rooms: int, news: list[tuple[str, int]], character: str, most: int) -> None:
    names = [f"{number:03}".ljust(64, "r") for number in range(rooms)]
    people = [f"{number}".ljust(128, "u") for number in range(150)]
    here = {name: crowded(name, people, character) for name in names[:10]}
    one = PollTransport(Cursors({name: Position(0, "e" * 64) for name in names}), dict.fromkeys(names, ""), here.get)
    last = 2**53 - 1
    for name in names:
        one.send_frame(Joined(room=name, epoch="e" * 64, head=last, number=last, read=last, reset=False))
    for kind, number in news:
        _say(one, kind, names[min(number, rooms - 1)], character, here, most)
    body = one.body()
    assert encoded(body) <= SERVER_FRAME_LIMIT
    for name, found in body["rooms"].items():
        events = seqs_of(found)
        assert events == list(range(1, len(events) + 1))
        if name in body["cursors"]:
            assert body["cursors"][name]["since"] == len(events)


async def test_each_answer_goes_on_however_many_rooms_and_however_long_the_texts() -> None:
    names = [f"{number:03}".ljust(64, "r") for number in range(300)]
    cursors = Cursors({name: Position(0, "e" * 64) for name in names})
    events = [{"seq": seq, "type": "message", "number": seq, "text": "\x01" * 4_000} for seq in range(1, 61)]
    read: list[int] = []
    while len(read) < len(events):
        one = PollTransport(cursors, dict.fromkeys(names, "99999999-999999"), lambda _: None)
        for part in packs(names[0], events[len(read) :], len(events)):
            one.broadcast(part)
        body = one.body()
        assert encoded(body) <= SERVER_FRAME_LIMIT
        assert seqs_of(body["rooms"][names[0]])
        read += seqs_of(body["rooms"][names[0]])
    assert read == list(range(1, len(events) + 1))


def seqs_of(news: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in news.get("events", ())]


def crowded(room: str, people: list[str], character: str) -> PresenceSnapshot:
    found = PresenceSnapshot(room)
    state = [Present(user=user, name=character * 64, status="online") for user in people]
    assert found.take("term", Presence(room=room, version=1, state=state))
    return found


def _say(
    one: PollTransport, kind: str, room: str, character: str, here: dict[str, PresenceSnapshot], most: int
) -> None:
    """Give it something new; events are all that there are, as a replay gives them, and once."""
    text = character * 4_000
    match kind:
        case "events":
            since = one.body()["cursors"].get(room, {}).get("since")
            events = [{"seq": seq, "type": "message", "text": text} for seq in range(1, most + 1)] if since == 0 else []
            for part in packs(room, events, most):
                one.broadcast(part)
        case "presence":
            one.broadcast(here[room].whole)
        case "typing" | "partial":
            for number in range(30):
                said = {"user": f"{number}".ljust(128, "u"), "name": character * 64, "key": "k" * 64, "text": text}
                frame = (Partial if kind == "partial" else IsTyping).model_validate({**said, "room": room})
                one.broadcast(Frame(room, frame.model_dump_json().encode(), kind=kind))
        case "error":
            one.send_frame(Error(room=room, code="unavailable", detail=text, temporary=True))
        case "left":
            one.send_frame(Left(room=room, seq=2**53 - 1, because="member.removed"))


async def test_after_a_reset_nothing_is_left_of_the_log_before() -> None:
    one = answer(since=1)
    one.send_frame(joined(3))
    one.broadcast(batch(2, 3))
    one.send_frame(joined(1, reset=True, epoch="e2"))
    one.broadcast(batch(2, 2))
    body = one.body()
    assert body["rooms"][ROOM]["reset"] is True
    assert [event["seq"] for event in body["rooms"][ROOM]["events"]] == [2]
    assert cursor(body) == {"since": 2, "epoch": "e2"}


async def test_a_room_that_may_not_be_read_any_more_has_no_cursor() -> None:
    one = answer()
    one.send_frame(joined(1))
    one.broadcast(batch(1, 1))
    one.send_frame(Left(room=ROOM, seq=1, because="member.removed"))
    body = one.body()
    assert body["rooms"][ROOM]["left"] == {"seq": 1, "because": "member.removed"}
    assert body["cursors"] == {}


async def test_a_refusal_keeps_the_cursor_only_if_it_may_pass() -> None:
    for temporary in (True, False):
        one = answer(since=4)
        one.send_frame(Error(room=ROOM, code="c", detail="d", temporary=temporary))
        assert await is_ready(one)
        body = one.body()
        assert body["rooms"][ROOM]["error"] == {"code": "c", "detail": "d", "temporary": temporary}
        assert body["cursors"] == ({ROOM: {"since": 4, "epoch": EPOCH}} if temporary else {})


async def test_who_is_there_is_told_to_who_asks_and_does_not_know_it() -> None:
    here = roster("ann", "bob")
    one = answer(since=0, presence="", roster=here)
    one.send_frame(joined(0))
    one.broadcast(here.whole)
    async with asyncio.timeout(WITHIN):
        await one.wait(WITHIN)
    body = one.body()
    assert [person["user"] for person in body["rooms"][ROOM]["presence"]["state"]] == ["ann", "bob"]
    again = answer(since=0, presence=cursor(body)["presence"], roster=here)
    again.send_frame(joined(0))
    again.broadcast(here.whole)
    assert again.body()["rooms"] == {}
    assert cursor(again.body()) == cursor(body)


async def test_who_is_there_is_not_told_where_the_client_is_not_shown_it() -> None:
    one = answer(since=0, presence="", roster=roster("ann"))
    one.send_frame(joined(0))  # and no frame of presence: they read a public room, and are no member
    assert one.body()["rooms"] == {}


async def test_who_does_not_ask_is_told_nothing_of_what_passes() -> None:
    here = roster("ann")
    one = answer(since=0, roster=here)
    one.send_frame(joined(0))
    one.broadcast(here.whole)
    one.broadcast(typing("ann"))
    assert one.body() == {"rooms": {}, "cursors": {ROOM: {"since": 0, "epoch": EPOCH}}}


async def test_people_who_type_are_named_once_each_and_not_without_end() -> None:
    one = answer(since=0, presence="")
    one.send_frame(joined(0))
    for number in (0, *range(TYPISTS + 10)):
        one.broadcast(typing(f"u{number}"))
    typists = one.body()["rooms"][ROOM]["typing"]
    assert [typist["user"] for typist in typists] == [f"u{number}" for number in range(TYPISTS)]


async def test_a_reply_that_grows_is_told_as_far_as_it_has_grown() -> None:
    one = answer(since=0, presence="")
    one.send_frame(joined(0))
    for text in ("Once", "Once upon"):
        frame = Partial(room=ROOM, user="bot.writer", name="Writer", key="k1", text=text)
        one.broadcast(Frame(ROOM, frame.model_dump_json().encode(), kind=frame.type))
    told = [{"user": "bot.writer", "name": "Writer", "key": "k1", "text": "Once upon"}]
    assert one.body()["rooms"][ROOM]["partial"] == told


def typing(user: str) -> Frame:
    frame = IsTyping(room=ROOM, user=user, name=user)
    return Frame(ROOM, frame.model_dump_json().encode(), kind=frame.type)
