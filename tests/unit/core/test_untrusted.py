"""JSON from outside: what is right is read, what is wrong is named, and neither costs more than it may."""

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from warren.contract.frames import CLIENT_FRAMES, Send
from warren.untrusted import DETAIL, PARTS, UnreadableError, encodable, first_error, read, shown, unknown_field

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    for ascii_alone in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_alone)
        assert read(text) == read(text.encode()) == value


@settings(deadline=None)
@given(st.text() | st.binary())
def test_anything_is_read_or_refused(data: str | bytes) -> None:
    with suppress(UnreadableError):
        json.dumps(read(data))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"text":"hi \ud83d"}', {"text": "hi \ud83d"}),
        (r'{"text":"\udc00\ud800","key":"k"}', {"text": "\udc00\ud800", "key": "k"}),
        (r'{"\ud800":1}', {"\ud800": 1}),
        ('{"since":' + "9" * 5_000 + "}", {"since": math.inf}),
        ('{"since":1e999}', {"since": math.inf}),
    ],
)
def test_what_is_wrong_in_a_field_leaves_the_others_readable(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text", ["", "hello", '{"a":', "[" * 1_900, '\ufeff{"a":1}', '{"a":1}{"b":2}', '{"a":"\\ud83d"', '"\x00"']
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="not JSON"):
        read(text)


@pytest.mark.parametrize("text", [",", "[", "{", ",[{"])
def test_a_text_may_consist_of_what_structure_is_made_of(text: str) -> None:
    frame = {"type": "send", "room": "general", "key": "k", "text": (text * 4_000)[:4_000], "reply_to": 5}
    assert read(json.dumps(frame)) == frame


@pytest.mark.parametrize("part", ["0", "[]", "{}", '{"a":1}', '"a"'])
def test_more_parts_than_anything_may_have_are_not_read(part: str) -> None:
    with pytest.raises(UnreadableError, match="too many parts"):
        read("[" + ",".join([part] * (PARTS + 2)) + "]")


@pytest.mark.parametrize("quote", ['"', '\\"', '"\\"', '""', '"\\\\', "\\"])
@pytest.mark.parametrize("end", ["", '"', ",[{"])
def test_texts_are_told_from_parts_in_one_pass(quote: str, end: str) -> None:
    """Were it quadratic, a megabyte would take hours."""
    with suppress(UnreadableError):
        read('{"a":"' + quote * (1_000_000 // len(quote)) + "," * (PARTS + 1) + end)


def test_an_error_is_one_line_that_can_be_sent_whatever_is_wrong() -> None:
    fields = {"type": "send", "room": "a", "key": "\ud800" * 100, "text": "\ud83d" * 5_000, "reply_to": "x" * 10_000}
    with pytest.raises(ValidationError) as caught:
        Send.model_validate(fields)
    found = first_error(caught.value)
    assert found.startswith("key: ")
    assert len(found.encode()) <= DETAIL


def test_an_error_is_the_sentence_and_not_whose_it_is() -> None:
    with pytest.raises(ValidationError) as caught:
        Send.model_validate({"type": "send", "room": "a", "key": "k", "text": "\u200b"})
    assert first_error(caught.value) == "text: must show something"


def test_the_first_unknown_field_is_named_as_far_as_it_can_be() -> None:
    assert unknown_field({"type": "send", "key": "k"}, Send) is None
    assert unknown_field({"type": "send", "zork": 1, "fnord": 2}, Send) == "zork"
    assert unknown_field({"\ud800": 1}, Send) == "\\ud800"
    assert len(unknown_field({"x" * 50_000: 1}, Send) or "") == DETAIL


@given(st.text())
def test_what_is_shown_can_be_encoded(text: str) -> None:
    assert encodable(text)
    assert shown(text) == text[:DETAIL]
    broken = f"{text[:10]}\ud83d"
    assert not encodable(broken)
    shown(broken).encode()


def test_every_frame_of_a_client_is_known_by_its_type() -> None:
    assert set(CLIENT_FRAMES) == {"hello", "auth", "join", "send", "leave", "typing", "status", "ping"}
