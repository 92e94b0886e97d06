"""What goes to clients fits, however its characters are chosen."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from warren.contract import events as e
from warren.contract.presence import Partial
from warren.contract.sizes import EVENT_LIMIT, SERVER_BODY_LIMIT, first_within, groups, last_within, size

MOMENT = datetime(9999, 12, 31, tzinfo=UTC)
RABBITS = "\N{RABBIT}" * 199 + "x"
LONGEST: dict[str, Any] = {
    **dict.fromkeys(("seq", "number", "reply_to", "of_seq", "upto"), 2**53 - 1),
    **dict.fromkeys(("sender", "user"), "u" * 128),
    **dict.fromkeys(("at", "until"), MOMENT),
    **dict.fromkeys(("title", "reason"), RABBITS),
    "id": "i" * 64, "name": "\x01" * 64, "key": '"' * 64, "text": "\x01" * 3_999 + "x", "what": "w" * 64,
    "of_room": "r" * 64, "kind": "private", "role": "moderator", "invited": True,
}  # fmt: skip
KINDS = get_args(e.AnyEvent)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_event_there_is_fits_by_itself(kind: type[BaseModel]) -> None:
    event = kind.model_validate({**LONGEST, "type": kind.model_fields["type"].default})
    assert len(event.model_dump_json(exclude_none=True)) < EVENT_LIMIT


def test_a_reply_that_grows_fits() -> None:
    said = Partial(room="r" * 64, user="u" * 128, name="\x01" * 64, key='"' * 64, text="\x01" * 4_000)
    assert size(said) < EVENT_LIMIT < SERVER_BODY_LIMIT


def test_what_is_cut_off_is_not_more_than_it_must_be() -> None:
    events = [{"seq": seq, "text": "x" * 100} for seq in range(100, 200)]
    each = size(events[50]) + 1
    assert [len(group) for group in groups(events, 10 * each)] == [10] * 10
    assert first_within(events, 10 * each) == events[:10]
    assert last_within(events, 10 * each) == events[-10:]
    assert first_within(events, 1_000_000) == last_within(events, 1_000_000) == events
    assert first_within([], 10) == last_within([], 10) == []


def test_there_is_always_one_and_of_one_that_is_too_large_its_place() -> None:
    large = [{"seq": seq, "type": "of.the.future", "text": "x" * 10_000, "more": {"x": 1}} for seq in (1, 2)]
    place = {"type": "of.the.future", "more": {"x": 1}}
    assert first_within(large, 5_000) == [{"seq": 1, **place}]
    assert last_within(large, 5_000) == [{"seq": 2, **place}]
    assert groups(large, 5_000) == [[{"seq": 1, **place}], [{"seq": 2, **place}]]
