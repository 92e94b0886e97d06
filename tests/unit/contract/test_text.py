"""What shows nothing is refused, and what has no place in a name is taken out of it."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from warren.contract import commands as c
from warren.contract import events as e
from warren.contract import frames as f
from warren.contract.ids import DisplayName, Text, Title, inbox_room, new_id
from warren.contract.text import one_line, shows
from warren_gateway.auth.tokens import _display_name
from warren_gateway.routes.messages import GuestRequest, MessageRequest
from warren_gateway.routes.rooms import RoomChange, RoomRequest
from warren_persistence.domain.notices import notice

NOTHING = [
    " ", "\n", "\t", "\0", "\x7f", "\x1b", "\x85", "\u00a0", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u1680",
    "\u17b4", "\u180e", "\u2003", "\u200b", "\u200d", "\u200f", "\u2028", "\u202e", "\u2060", "\u2064", "\u2066",
    "\u206f", "\u2800", "\u3000", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\U0001d159", "\U0001d173",
    "\U000e0041", "\U000e0100", "\u200b\u2060\ufeff\u2800\u3164\u00ad\u202e\0\x7f", "\u200b" * 4_000,
]  # fmt: skip
SOMETHING = [
    "x", ".", "é", "e\u0301", "ё", "あ", "م", "ก", "한", "❤", "❤️", "👩\u200d🚀", "🇩🇪", "1️⃣", "\u200bx", "\0x", "\u202ex",
    "\u2800" * 3_999 + "x", "\u200b" * 3_999 + "é", "\U0001fabf", "�", "\U0010fffd",
]  # fmt: skip


def common(**fields: str) -> dict[str, str]:
    return {"id": new_id(), "room": "a", "sender": "ann", "name": "Ann", "key": "k", **fields}


def said(text: str) -> list[Any]:
    """Return the ways in for a text, a title and a name, each to be called."""
    return [
        lambda: f.Send(room="a", key="k", text=text),
        lambda: MessageRequest(text=text),
        lambda: c.Send.model_validate({**common(), "text": text}),
        lambda: RoomRequest(title=text[:200]),
        lambda: RoomChange(title=text[:200]),
        lambda: c.CreateRoom.model_validate({**common(), "kind": "public", "title": text[:200]}),
        lambda: c.Mute.model_validate({**common(), "user": "bob", "reason": text[:200]}),
        lambda: GuestRequest(name=text[:64]),
    ]


@pytest.mark.parametrize("text", NOTHING, ids=lambda text: ascii(text[:10]))
def test_what_shows_nothing_is_refused_at_every_way_in(text: str) -> None:
    assert not shows(text)
    for way in said(text):
        with pytest.raises(ValidationError):
            way()
    assert _display_name(text) == ""


@pytest.mark.parametrize("text", SOMETHING, ids=lambda text: ascii(text[:10]))
def test_what_shows_something_is_taken_as_it_is(text: str) -> None:
    assert shows(text)
    assert TypeAdapter(Text).validate_python(text) == text


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("Ann", "Ann"),
        ("  Ann \n B.\t", "Ann B."),
        ("An\0n\x7f", "Ann"),
        ("Ann\u202egro.live", "Anngro.live"),
        ("A\u00adn\u200bn\ufeff", "Ann"),
        ("Ann\u2028B\u2029C", "Ann B C"),
        ("Ann\u00a0\u3000B", "Ann B"),
        ("\u3164Ann\u2800", "Ann"),
        ("Zoë Żółw", "Zoë Żółw"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 ❤️ 🏴\U000e0067\U000e0062\U000e007f", "👩\u200d🚀 ❤️ 🏴\U000e0067\U000e0062\U000e007f"),
    ],
)
def test_a_name_is_one_line_of_what_shows(given_name: str, name: str) -> None:
    assert TypeAdapter(DisplayName).validate_python(given_name) == name
    assert TypeAdapter(Title).validate_python(given_name) == name
    assert _display_name(given_name) == name
    assert c.Send.model_validate({**common(name=given_name), "text": "hi"}).name == name


def test_who_has_no_name_that_shows_is_called_by_their_id() -> None:
    assert c.Send.model_validate({**common(name="\u200b\u202e"), "text": "hi"}).name == "ann"
    assert c.Send.model_validate({**common(name="\u200d"), "text": "hi"}).name == "ann"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_line_stays_what_it_is_and_holds_nothing_that_steers(text: str) -> None:
    line = one_line(text)
    assert one_line(line) == line
    assert line == line.strip()
    kept = {"\u200c", "\u200d"}
    steering = {one for one in line if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp") and ord(one) < 0xE0000}
    assert steering <= kept


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_shows_something_if_one_of_its_characters_does(text: str) -> None:
    assert shows(text) == any(map(shows, text))


def test_what_is_in_the_log_is_read_whatever_was_let_in_before() -> None:
    """Else the service would end at an event that an older version has stored."""
    event = {"seq": 1, "id": "i", "sender": "ann", "name": "A\nnn", "key": "k", "at": "2026-01-02T03:04:05.678Z"}
    message = e.EVENT.validate_python({**event, "type": "message", "number": 1, "text": "\u200b"})
    assert isinstance(message, e.Message)
    assert message.text == "\u200b"
    created = e.EVENT.validate_python({**event, "type": "room.created", "kind": "public", "title": "\u2800"})
    assert isinstance(created, e.RoomCreated)
    banned = e.EVENT.validate_python({**event, "type": "member.banned", "user": "bob", "reason": "\u202e"})
    told = notice("a", "public", created.title, banned, "bob")
    assert (told.room, told.title, told.reason) == (inbox_room("bob"), "\u2800", "\u202e")
