"""What the writer decides: verdicts, keys, seqs and runs, against a model that is too simple to be wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from warren.contract.codes import Code
from warren.contract.commands import COMMAND, Accepted, Ban, CreateRoom, Join, Leave, Mute, Refused, Remove, Send
from warren.contract.events import Events, MemberJoined, Message, NewRoomKind, RoomCreated, RoomKind
from warren.contract.topology import bot_key, public_key
from warren_persistence.domain.content import content_of_command, content_of_event
from warren_persistence.domain.decide import RoomCommand, apply, decide, event_of
from warren_persistence.domain.event_type import Case
from warren_persistence.domain.facts import NO_FACTS
from warren_persistence.domain.plan import BOTS_LIMIT, Plan, Stored, copies, key_of, plan_batch, runs
from warren_persistence.domain.room import NOBODY, LogEvent, Membership, Room

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
_IDS = count()
OWNER, MEMBER = Membership("member", "owner"), Membership("member", "member")
property_test = settings(max_examples=200, deadline=None)


def send(sender: str = "ann", key: str = "k", room: str = "a", reply_to: int | None = None) -> Send:
    return Send(id=f"i{next(_IDS)}", room=room, sender=sender, name=sender, key=key, text=f"{key}!", reply_to=reply_to)


def create(sender: str = "ann", key: str = "k", room: str = "a", kind: NewRoomKind = "public") -> CreateRoom:
    return CreateRoom(id=f"i{next(_IDS)}", room=room, sender=sender, name=sender, key=key, kind=kind, title="T")


def join(sender: str = "ann", key: str = "k", room: str = "a") -> Join:
    return Join(id=f"i{next(_IDS)}", room=room, sender=sender, name=sender, key=key)


def room(kind: NewRoomKind = "public") -> Room:
    """Return a room at head 5 with 3 messages, of which ann is a member and eve is not."""
    return Room("a", head=5, number=3, kind=kind, owners=1, members={"ann": OWNER, "eve": NOBODY})


NOBODYS = Room("a")


def code(verdict: LogEvent | Refused) -> str:
    return verdict.code if isinstance(verdict, Refused) else "stored"


@pytest.mark.parametrize(
    ("state", "command", "expected"),
    [
        (NOBODYS, create(), "stored"),
        (NOBODYS, join(), Code.NOT_FOUND),
        (NOBODYS, send(), Code.NOT_FOUND),
        (room(), create(), Code.EXISTS),
        (room(), create("eve"), Code.EXISTS),
        (room("private"), create("eve"), Code.EXISTS),
        (room(), join(), Code.EXISTS),
        (room(), join("eve"), "stored"),
        (room(), join("unseen"), "stored"),
        (room("private"), join(), Code.EXISTS),
        (room("private"), join("eve"), Code.NOT_FOUND),
        (room(), send(), "stored"),
        (room(), send("eve"), Code.FORBIDDEN),
        (room("private"), send(), "stored"),
        (room("private"), send("eve"), Code.NOT_FOUND),
        (room(), send(reply_to=5), "stored"),
        (room(), send(reply_to=6), Code.INVALID),
        (room("private"), send("eve", reply_to=6), Code.NOT_FOUND),
        (room(), send("eve", reply_to=6), Code.FORBIDDEN),
    ],
    ids=lambda value: value.type if isinstance(value, Send | CreateRoom | Join) else None,
)
def test_what_becomes_of_a_command(state: Room, command: RoomCommand, expected: str) -> None:
    assert code(decide(state, command, NOW)) == expected


def test_a_refusal_names_its_command_and_changes_nothing() -> None:
    state, command = room(), send("eve")
    verdict = decide(state, command, NOW)
    assert isinstance(verdict, Refused)
    assert verdict.id == command.id
    assert state == room()


def test_an_event_is_the_rooms_next_and_carries_what_was_said() -> None:
    command = send(reply_to=2)
    event = decide(room(), command, NOW)
    assert event == Message(
        seq=6, id=command.id, sender="ann", name="ann", key="k", at=NOW, number=4, text="k!", reply_to=2
    )


def test_a_message_alone_counts_as_one() -> None:
    state = Room("a")
    for command in (create(), join("bob"), send("bob")):
        event = decide(state, command, NOW)
        assert not isinstance(event, Refused)
        apply(state, event)
    assert (state.head, state.number) == (3, 1)
    assert state.members == {"ann": OWNER, "bob": MEMBER}
    assert (state.kind, state.title) == ("public", "T")


def test_an_unknown_and_a_hidden_room_are_refused_in_the_same_words() -> None:
    for command in (send("eve"), join("eve")):
        hidden, unknown = decide(room("private"), command, NOW), decide(Room("a"), command, NOW)
        assert hidden == unknown


ROOMS = st.sampled_from(["a", "b", "c"])
PEOPLE = st.sampled_from(["ann", "bob", "eve"])
KEYS = st.sampled_from(["k1", "k2", "k3", "k4"])
COMMANDS = st.lists(
    st.one_of(
        st.builds(send, PEOPLE, KEYS, ROOMS, st.none() | st.integers(1, 8)),
        st.builds(send, PEOPLE, KEYS, ROOMS),
        st.builds(join, PEOPLE, KEYS, ROOMS),
        st.builds(create, PEOPLE, KEYS, ROOMS, st.sampled_from(["public", "private"])),
    ),
    max_size=40,
)


def fresh_rooms() -> dict[str, Room]:
    """Return room `a` with two members, `b` private with one, and `c` that does not exist."""
    return {
        "a": Room("a", 2, 0, "public", "A", False, 1, {"ann": OWNER, "bob": MEMBER}),
        "b": Room("b", 1, 0, "private", "B", False, 1, {"ann": OWNER}),
        "c": Room("c"),
    }


def stored_by(plan: Plan) -> dict[tuple[str, str, str], Stored]:
    """Return what the store has under each key when the plan is stored."""
    entries = ((name, event, number, content_of_event(event)) for name, event, number in plan.new)
    return {
        (name, event.sender, event.key): Stored(event.seq, number, said, event) for name, event, number, said in entries
    }


@property_test
@given(COMMANDS)
def test_a_batch_is_gap_free_and_each_key_is_stored_once(commands: list[RoomCommand]) -> None:
    rooms = fresh_rooms()
    heads = {name: found.head for name, found in rooms.items()}
    plan = plan_batch(commands, rooms, {}, NOW)
    assert [answer.id for answer in plan.answers] == [command.id for command in commands]
    for name, head in heads.items():
        events = [(event, number) for found, event, number in plan.new if found == name]
        assert [event.seq for event, _ in events] == list(range(head + 1, head + 1 + len(events)))
        messages = [event.number for event, _ in events if isinstance(event, Message)]
        assert messages == list(range(1, len(messages) + 1))
        assert rooms[name].head == head + len(events)
    keys = [(found, event.sender, event.key) for found, event, _ in plan.new]
    assert len(keys) == len(set(keys))
    # In the order they came.
    ids = [event.id for _, event, _ in plan.new]
    assert ids == [command.id for command in commands if command.id in set(ids)]


@property_test
@given(COMMANDS)
def test_the_answer_says_where_the_keys_event_stands(commands: list[RoomCommand]) -> None:
    plan = plan_batch(commands, fresh_rooms(), {}, NOW)
    stood = {(name, event.sender, event.key): (event.seq, number) for name, event, number in plan.new}
    for command, answer in zip(commands, plan.answers, strict=True):
        if isinstance(answer, Accepted):
            assert (answer.seq, answer.number) == stood[key_of(command)]
        elif answer.seq is not None:  # the key stands for something else
            assert (answer.code, answer.seq, answer.number) == (Code.INVALID, *stood[key_of(command)])
        else:
            assert command.room in plan.refused
    assert not plan.again


@property_test
@given(COMMANDS, st.integers(0, 40))
def test_a_batch_in_two_parts_comes_to_the_same(commands: list[RoomCommand], at: int) -> None:
    whole = plan_batch(commands, fresh_rooms(), {}, NOW)
    rooms = fresh_rooms()
    one = plan_batch(commands[:at], rooms, {}, NOW)
    known = {key: replace(stored, event=None) for key, stored in stored_by(one).items()}
    two = plan_batch(commands[at:], rooms, known, NOW)
    assert one.new + two.new == whole.new
    assert one.answers + two.answers == whole.answers


@property_test
@given(COMMANDS)
def test_a_batch_that_comes_again_stores_nothing_and_says_the_same(commands: list[RoomCommand]) -> None:
    """The writer died before its acknowledgement: the next one finds the keys in the store."""
    rooms = fresh_rooms()
    first = plan_batch(commands, rooms, {}, NOW)
    known = stored_by(first)
    answered = list(zip(commands, first.answers, strict=True))
    accepted = [command for command, answer in answered if isinstance(answer, Accepted)]
    again = plan_batch(accepted, rooms, known, NOW)
    assert again.new == []
    assert again.answers == [answer for answer in first.answers if isinstance(answer, Accepted)]
    # And all of it is published again, for its first writer may not have come to that.
    assert {event.id for _, event, _ in again.again} == {event.id for _, event, _ in first.new}


def test_a_key_seen_before_wins_over_what_the_room_allows_now() -> None:
    command = send("eve")
    known = {("a", "eve", "k"): Stored(2, 0, content_of_command(command))}
    plan = plan_batch([command], {"a": room()}, known, NOW)
    assert plan == Plan(answers=[Accepted(id=command.id, seq=2, number=0)])


def test_a_key_whose_command_was_refused_may_be_used_again() -> None:
    state = room()
    first, membership, second = send("eve", "k1"), join("eve", "k2"), send("eve", "k1")
    plan = plan_batch([first, membership, second], {"a": state}, {}, NOW)
    assert isinstance(plan.answers[0], Refused)
    assert plan.answers[2] == Accepted(id=second.id, seq=7, number=4)


def joined(seq: int) -> MemberJoined:
    return MemberJoined(seq=seq, id=f"e{seq}", sender="ann", name="ann", key=f"k{seq}", at=NOW, user="ann")


@property_test
@given(st.lists(st.tuples(ROOMS, st.integers(1, 40)), max_size=60), st.integers(1, 7), st.integers(1, 2_000))
def test_runs_are_contiguous_complete_and_short(entries: list[tuple[str, int]], limit: int, most: int) -> None:
    found = runs([(name, joined(seq), seq * 10) for name, seq in entries], limit, most, {})
    covered = [(run.room, event.seq) for run in found for event in run.events]
    assert sorted(covered) == sorted(set(entries))
    for run in found:
        seqs = [event.seq for event in run.events]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert len(seqs) <= limit
        assert len(seqs) == 1 or sum(len(event.model_dump_json(exclude_none=True)) for event in run.events) <= most
        assert run.number == seqs[-1] * 10
        frame = Events.model_validate_json(run.frame(run.room))
        assert run.frame(run.room).decode() == frame.model_dump_json(exclude_none=True)
        assert (frame.room, frame.events) == (run.room, run.events)
    for name in {name for name, _ in entries}:
        firsts = [run.events[0].seq for run in found if run.room == name]
        assert firsts == sorted(firsts)


def test_events_go_to_the_bots_that_are_in_the_room_at_their_place_and_to_no_other() -> None:
    """One message may carry what happened before a bot is removed and its removal, and nothing after it."""
    state = room("private")
    state.members["bot.echo"] = Membership("invited")
    remove = Remove(id="i", room="a", sender="ann", name="ann", key="r", user="bot.echo")
    commands: list[RoomCommand] = [
        send(key="k1"),
        join("bot.echo", "j"),
        send(key="k2"),
        remove,
        send(key="k3"),
        send(key="k4"),
    ]
    plan = plan_batch(commands, {"a": state}, {}, NOW)
    found = runs(plan.new, 32, 10_000, plan.copies)
    assert [(run.events[0].seq, run.events[-1].seq, run.copies) for run in found] == [
        (6, 6, ()),
        (7, 9, (bot_key("echo"),)),
        (10, 11, ()),
    ]


@pytest.mark.parametrize("leaving", ["left", "removed", "banned"])
def test_a_bot_hears_that_it_is_out_also_when_that_is_said_again(leaving: str) -> None:
    """The writer died before it published that; the next one finds the room as it is now: without the bot."""
    state = room("private")
    state.bots, state.members["bot.echo"] = frozenset({"echo"}), MEMBER
    common = {"id": "i", "room": "a", "key": "r"}
    ending: dict[str, RoomCommand] = {
        "left": Leave(**common, sender="bot.echo", name="E"),
        "removed": Remove(**common, sender="ann", name="ann", user="bot.echo"),
        "banned": Ban(**common, sender="ann", name="ann", user="bot.echo"),
    }
    commands = [send(key="k1"), ending[leaving], send(key="k2")]
    known = stored_by(plan_batch(commands, {"a": state}, {}, NOW))
    again = plan_batch(commands, {"a": state}, known, NOW)
    assert not state.bots
    assert [again.copies["a", event.seq] for _, event, _ in again.again] == [(), (bot_key("echo"),), ()]


@pytest.mark.parametrize("user", ["bot.", "bot.Echo", "bot.a@b", "bot.a.b", f"bot.{'x' * 33}"])
def test_what_no_bot_can_be_called_becomes_no_routing_key(user: str) -> None:
    state = Room("dm-1", 1, 0, "direct", "Direct", members={"ann": MEMBER})
    apply(
        state,
        RoomCreated(seq=1, id="i", sender="ann", name="ann", key="k", at=NOW, kind="direct", title="D", user=user),
    )
    assert copies(state, state.bots) == ()


def test_the_events_of_public_rooms_say_so_and_of_no_other() -> None:
    kinds: dict[RoomKind, tuple[str, ...]] = {"public": (public_key("a"),), "private": (), "direct": (), "inbox": ()}
    assert {kind: copies(Room("a", kind=kind), frozenset()) for kind in kinds} == kinds


def test_a_room_full_of_bots_has_so_many_keys_and_no_more() -> None:
    state = Room("a", kind="private", bots=frozenset(f"b{number}" for number in range(BOTS_LIMIT + 1)))
    assert len(copies(state, state.bots)) == BOTS_LIMIT


def test_the_first_event_of_a_room_is_its_creation() -> None:
    event = decide(Room("a"), create(kind="private"), NOW)
    assert isinstance(event, RoomCreated)
    assert (event.seq, event.kind, event.title, event.sender) == (1, "private", "T", "ann")


def upon(of: type[Mute | Ban], until: datetime | None = None, key: str = "k") -> RoomCommand:
    return of(id=f"i{next(_IDS)}", room="a", sender="ann", name="ann", key=key, user="bob", until=until)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (send(), send(), True),
        (send(), send().model_copy(update={"name": "Ann II."}), True),
        (send(), send().model_copy(update={"text": "another"}), False),
        (send(), send(reply_to=3), False),
        (join("eve"), join("eve"), True),
        (join("eve"), send("eve"), False),
        (upon(Mute, NOW + timedelta(days=1)), upon(Mute, NOW + timedelta(days=1)), True),
        (upon(Mute), upon(Mute, NOW + timedelta(days=1)), False),
        (upon(Mute), upon(Ban), False),
    ],
    ids=lambda value: getattr(value, "type", None),
)
@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "found in the store"])
def test_a_key_is_of_what_was_said_under_it_first(
    first: RoomCommand, second: RoomCommand, *, same: bool, at_once: bool
) -> None:
    rooms = {"a": Room("a", head=5, number=3, owners=1, members={"ann": OWNER, "bob": MEMBER, "eve": NOBODY})}
    plan = plan_batch([first, second] if at_once else [first], rooms, {}, NOW)
    answer = plan.answers[-1] if at_once else plan_batch([second], rooms, stored_by(plan), NOW).answers[0]
    if same:
        assert answer == Accepted(id=second.id, seq=6, number=plan.new[0][2])
    else:
        assert isinstance(answer, Refused)
        assert (answer.code, answer.seq) == (Code.INVALID, 6)
    assert len(plan.new) == 1
    assert not plan.refused  # it needs no state that is read anew: what a key stands for never changes


def test_each_command_and_its_event_say_the_same() -> None:
    for path in (Path(__file__).parents[2] / "contract" / "golden").glob("command.*.json"):
        command = COMMAND.validate_json(path.read_bytes())
        event = event_of(Case(Room(command.room), command, NOW, NO_FACTS))
        assert content_of_command(command) == content_of_event(event), path.name


def test_whatever_is_sent_under_the_key_of_an_erased_event_is_told_its_place() -> None:
    command = send("ann", "k")
    plan = plan_batch([command], {"a": Room("a")}, {key_of(command): Stored(7, 3, None)}, NOW)
    assert plan.answers == [Accepted(id=command.id, seq=7, number=3)]
    assert (plan.new, plan.again) == ([], [])
