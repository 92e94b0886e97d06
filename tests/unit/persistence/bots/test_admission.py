"""What of bots' messages goes on to the writers."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from warren.broker.command_client import MESSAGE_LIMIT
from warren.contract.commands import COMMANDS_LIMIT
from warren.contract.topology import shard
from warren.rates import Rate
from warren_persistence.bots.admission import BODY_LIMIT, AdmissionControl, Admitted, Sender, shard_batches
from warren_persistence.commands.batch import PUBLISHER, Trust, publisher_of

TRUST = Trust(frozenset({"gateway"}), own="persistence")
MAILBOX = "bot.a.0123456789abcdef"


def command(key: str = "k", room: str = "general", sender: str = "bot.a") -> dict[str, Any]:
    return {"type": "send", "id": key, "room": room, "sender": sender, "name": "A", "key": key, "text": "x"}


def body(*commands: object) -> bytes:
    return json.dumps({"commands": commands}).encode()


def gate(burst: float = 10, per_second: float = 1) -> AdmissionControl:
    return AdmissionControl(TRUST, Rate(per_second, burst))


def test_what_a_bot_may_say_goes_on_with_its_name_and_its_mailbox() -> None:
    opened = gate().admit(body(command("1"), command("2")), "bot.a", MAILBOX, 0)
    assert opened.sender == Sender("bot.a", MAILBOX)
    assert [one.key for one in opened.commands] == ["1", "2"]
    assert (opened.refused, opened.poison, opened.dropped) == ([], [], None)


@pytest.mark.parametrize(
    "reply_queue", ["bot.b.0123456789abcdef", "bot.a", "warren.dead", "gateway.x", "bot.ab.0", None]
)
def test_answers_go_to_nobody_else(reply_queue: str | None) -> None:
    assert gate().admit(body(command()), "bot.a", reply_queue, 0).sender.reply_queue is None


def test_beyond_its_pace_the_rest_of_a_message_is_refused_and_the_next_ones_are_not_read() -> None:
    tried = gate(burst=2)
    opened = tried.admit(body(*(command(key) for key in "1234")), "bot.a", MAILBOX, 0)
    assert [one.key for one in opened.commands] == ["1", "2"]
    assert [(one.id, one.code) for one in opened.refused] == [("3", "too_many"), ("4", "too_many")]
    assert tried.admit(b"no matter what", "bot.a", MAILBOX, 0.5).dropped == "too_many"
    assert [one.key for one in tried.admit(body(command("5")), "bot.a", MAILBOX, 1.5).commands] == ["5"]


def test_one_bots_pace_is_nothing_to_another_nor_to_whoever_speaks_for_people() -> None:
    tried = gate(burst=1)
    for user in ("bot.a", "bot.b", "gateway", "gateway", "gateway"):
        assert tried.admit(body(command()), user, None, 0).commands
    assert tried.admit(body(command()), "bot.a", None, 0).dropped == "too_many"


@pytest.mark.parametrize("user", [None, "persistence"])
def test_whoever_has_no_name_or_the_services_own_is_not_read(user: str | None) -> None:
    assert gate().admit(body(command()), user, None, 0).dropped == "forbidden"


def test_what_is_longer_than_any_batch_is_not_read() -> None:
    assert gate().admit(b" " * (BODY_LIMIT + 1), "bot.a", None, 0).dropped == "invalid"


def test_what_is_no_command_is_poison_with_its_name_and_counts_like_one() -> None:
    tried = gate(burst=3)
    opened = tried.admit(body(5, command("good"), {"type": "zork"}), "bot.a", None, 0)
    assert [(one.body, one.publisher) for one in opened.poison] == [
        (b'{"commands":[5]}', "bot.a"),
        (b'{"commands":[{"type":"zork"}]}', "bot.a"),
    ]
    assert [one.key for one in opened.commands] == ["good"]
    assert tried.admit(b"junk", "bot.a", None, 0).dropped == "too_many"


def test_a_batch_of_nothing_but_poison_fills_no_more_of_the_dead_letters_than_the_pace_lets_it() -> None:
    opened = gate(burst=3).admit(body(*range(COMMANDS_LIMIT)), "bot.a", None, 0)
    assert len(opened.poison) == 3


def test_a_message_of_more_commands_than_there_may_be_is_poison_as_a_whole() -> None:
    most, more = (body(*(command(str(number)) for number in range(count))) for count in (50, 51))
    assert len(gate(burst=100).admit(most, "bot.a", None, 0).commands) == COMMANDS_LIMIT == 50
    opened = gate(burst=100).admit(more, "bot.a", None, 0)
    assert (opened.commands, [one.body for one in opened.poison]) == ([], [more])


def test_the_longest_commands_of_one_message_are_read() -> None:
    """Control characters are escaped: each has six bytes then."""
    name, text = "\x01" * 128, "\x01" * 3_999 + "x"
    long = [{**command(str(number)), "name": name, "text": text} for number in range(MESSAGE_LIMIT)]
    opened = gate(burst=100).admit(body(*long), "bot.a", None, 0)
    assert len(opened.commands) == MESSAGE_LIMIT


@pytest.mark.parametrize(
    "wrong",
    [{"text": "hi \ud83d"}, {"key": "\udc00"}, {"reply_to": float("inf")}, {"type": "\ud800"}, {"text": "x" * 5_000}],
)
def test_what_is_wrong_in_one_command_is_poison_for_that_command_alone(wrong: dict[str, Any]) -> None:
    bad = {**command("bad"), **wrong}
    opened = gate().admit(body(command("1"), bad, command("2")), "bot.a", None, 0)
    assert [one.key for one in opened.commands] == ["1", "2"]
    (poison,) = opened.poison
    assert json.loads(poison.body) == {"commands": [bad]}
    assert len(poison.reason) < 400
    poison.reason.encode()


def junk(size: int) -> bytes:
    return b'{"commands":[{"x":"' + b"x" * size + b'"}]}'


def test_a_dead_letter_says_the_first_thing_that_is_wrong_and_repeats_nothing_of_its_body() -> None:
    (poison,) = gate().admit(junk(1_000_000), "bot.a", None, 0).poison
    assert len(poison.reason) < 400


def test_what_is_read_is_paid_for_whatever_it_says() -> None:
    """A message of a megabyte that is one bad command costs what the commands in a good one would."""
    tried = gate(burst=30)
    assert tried.admit(junk(1_000_000), "bot.a", None, 0).poison
    assert tried.admit(body(command()), "bot.a", None, 9).dropped == "too_many"
    assert tried.admit(body(command()), "bot.a", None, 12).commands


@pytest.mark.parametrize("part", [b"[]", b"{}", b"0", b"[0]"])
def test_junk_is_not_read_once_it_has_more_parts_than_any_commands(part: bytes) -> None:
    body = b'{"commands":[' + b",".join([part] * 240_000) + b"]}"
    (poison,) = gate().admit(body, "bot.a", None, 0).poison
    assert "too many parts" in poison.reason


MESSAGES = st.lists(
    st.tuples(st.sampled_from(["bot.a", "bot.b"]), st.lists(st.sampled_from(["r1", "r2", "r3", "r4"]), max_size=50))
)


@given(MESSAGES)
def test_parcels_are_of_one_sender_and_one_shard_and_keep_the_order(said: list[tuple[str, list[str]]]) -> None:
    numbers = iter(range(10_000))
    opened: list[Admitted] = []
    for user, rooms in said:
        commands = [command(str(next(numbers)), room, user) for room in rooms]
        opened.append(gate(burst=1e9).admit(body(*commands), user, f"{user}.x", 0))
    found = shard_batches(opened)
    for number, line in found.items():
        for parcel in line:
            assert 0 < len(parcel.commands) <= MESSAGE_LIMIT
            assert {shard(one.room) for one in parcel.commands} == {number}
            assert {one.sender for one in parcel.commands} == {parcel.sender.user}
        order = [int(one.key) for parcel in line for one in parcel.commands]
        assert order == sorted(order)
        assert all(
            one.sender != other.sender or len(one.commands) == MESSAGE_LIMIT for one, other in pairwise(line)
        )  # no more messages than it takes
    assert sum(len(parcel.commands) for line in found.values() for parcel in line) == next(numbers)


@pytest.mark.parametrize(
    ("user", "header", "found"),
    [
        ("persistence", "bot.a", "bot.a"),
        ("persistence", None, "persistence"),
        ("gateway", "bot.a", "gateway"),
        ("bot.b", "bot.a", "bot.b"),
        (None, "bot.a", None),
    ],
)
def test_the_services_own_word_is_taken_for_whose_a_message_is_and_nobody_elses(
    user: str | None, header: str | None, found: str | None
) -> None:
    properties = Basic.Properties(user_id=user, headers={} if header is None else {PUBLISHER: header})
    assert publisher_of(properties, "persistence") == found
