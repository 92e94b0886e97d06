"""Bad input over the WebSocket: each gets the error or close code of the protocol, and nobody else notices."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from harness.broker_client import BrokerClient
from harness.observability import errors
from harness.raw_clients import BINARY, CLOSE, CONTINUATION, TEXT, frame, message, raw_connect, raw_sign_in
from harness.scripted_client import connect
from harness.stack import Stack
from harness.tokens import token
from integration.conftest import Place

FRAME_LIMIT = 64 * 1024
NO_FRAME = {
    "nothing": "",
    "not JSON": "hello",
    "half an object": '{"type":"ping"',
    "an array": "[]",
    "an array of frames": '[{"type":"ping"}]',
    "a number": "5",
    "null": "null",
    "a string": '"ping"',
    "an empty object": "{}",
    "an unknown type": '{"type":"zork"}',
    "an unknown type with a long name": json.dumps({"type": "x" * 300}),
    "an unknown type in another script": json.dumps({"type": "ü" * 60}, ensure_ascii=False),
    "a type that is a number": '{"type":5}',
    "a type that is null": '{"type":null}',
    "a type that is an object": '{"type":{"type":"ping"}}',
    "a server's frame": '{"type":"pong"}',
    "too deep an array": "[" * 10_000,
    "too deep an object": '{"type":"ping","x":' + '{"x":' * 1_000 + "1" + "}" * 1_001,
    "a byte order mark": '\ufeff{"type":"ping"}',
}
WRONG_VALUES: dict[str, str] = {
    "a lone surrogate": r'{"type":"send","room":"a","key":"k","text":"hi \ud83d"}',
    "the other half of a surrogate": r'{"type":"send","room":"a","key":"k","text":"\udc00\ud83d hi"}',
    "a surrogate behind another wrong field": r'{"type":"send","room":"A","key":"k","text":"\ud83d"}',
    "a surrogate in a field that does not exist": r'{"type":"send","room":"a","key":"k","text":"x","x":"\ud83d"}',
    "a surrogate in the name of a field": r'{"type":"send","room":"a","key":"k","text":"x","\ud83d":1}',
    "a surrogate in a reply": r'{"type":"send","room":"a","key":"k","text":"x","reply_to":"\ud83d"}',
    "a seq of 5,000 digits": '{"type":"send","room":"a","key":"k","text":"x","reply_to":' + "9" * 5_000 + "}",
    "a seq beyond all floats": '{"type":"send","room":"a","key":"k","text":"x","reply_to":1e999}',
    "a seq that is not a number": '{"type":"send","room":"a","key":"k","text":"x","reply_to":NaN}',
    "a text that is infinite": '{"type":"send","room":"a","key":"k","text":-Infinity}',
    "1,900 unknown fields": json.dumps({"type": "send", "key": "k", **{f"x{number}": 1 for number in range(1_900)}}),
}
WRONG_KEYS: dict[str, str] = {
    "a key that is a surrogate": r'{"type":"send","room":"a","key":"\ud83d","text":"x"}',
    "a room that is a surrogate": r'{"type":"join","room":"\ud83d"}',
    "an epoch that is a surrogate": r'{"type":"join","room":"a","since":1,"epoch":"\ud83d"}',
    "a token that is a surrogate": r'{"type":"auth","token":"\ud83d"}',
    "a status that is a surrogate": r'{"type":"status","status":"\ud83d"}',
    "a since of 5,000 digits": '{"type":"join","room":"a","since":' + "9" * 5_000 + "}",
}
WRONG_FIELDS: dict[str, dict[str, Any]] = {
    "join without a room": {"type": "join"},
    "a room that is a number": {"type": "join", "room": 5},
    "a room that is null": {"type": "join", "room": None},
    "an empty room": {"type": "join", "room": ""},
    "a room in capitals": {"type": "join", "room": "General"},
    "a room that starts with a dash": {"type": "join", "room": "-a"},
    "a room with a space": {"type": "join", "room": "a b"},
    "a room with a dot": {"type": "join", "room": "a.b"},
    "a room with a wildcard": {"type": "join", "room": "#"},
    "a room with a line break": {"type": "join", "room": "a\n"},
    "a room with an umlaut": {"type": "join", "room": "ü"},
    "a room with a NUL": {"type": "join", "room": "a\0"},
    "a room of 65 characters": {"type": "join", "room": "a" * 65},
    "a negative since": {"type": "join", "room": "a", "since": -1},
    "a since in quotes": {"type": "join", "room": "a", "since": "1"},
    "a since with a fraction": {"type": "join", "room": "a", "since": 1.5},
    "a since that is a boolean": {"type": "join", "room": "a", "since": True},
    "an epoch of 65 characters": {"type": "join", "room": "a", "epoch": "e" * 65},
    "an epoch that is a number": {"type": "join", "room": "a", "epoch": 1},
    "an unknown field": {"type": "ping", "extra": 1},
    "an unknown field with a long name": {"type": "ping", "x" * 50_000: 1},
    "an unknown field without a name": {"type": "ping", "": 1},
    "send without a key": {"type": "send", "room": "a", "text": "x"},
    "send without a text": {"type": "send", "room": "a", "key": "k"},
    "an empty key": {"type": "send", "room": "a", "key": "", "text": "x"},
    "a key of 65 characters": {"type": "send", "room": "a", "key": "k" * 65, "text": "x"},
    "a key with an umlaut": {"type": "send", "room": "a", "key": "ü", "text": "x"},
    "a key with a line break": {"type": "send", "room": "a", "key": "k\n", "text": "x"},
    "a key that is a number": {"type": "send", "room": "a", "key": 5, "text": "x"},
    "a key that is an object": {"type": "send", "room": "a", "key": {"k": 1}, "text": "x"},
    "an empty text": {"type": "send", "room": "a", "key": "k", "text": ""},
    "a blank text": {"type": "send", "room": "a", "key": "k", "text": " \n\t\u2003 "},
    "a text that shows nothing": {"type": "send", "room": "a", "key": "k", "text": "\u200b\u2800\u3164\u202e\x7f"},
    "a text of 4,001 characters": {"type": "send", "room": "a", "key": "k", "text": "x" * 4_001},
    "a text of 4,001 astral characters": {"type": "send", "room": "a", "key": "k", "text": "\U0001f407" * 4_001},
    "a text that is a number": {"type": "send", "room": "a", "key": "k", "text": 5},
    "a text that is null": {"type": "send", "room": "a", "key": "k", "text": None},
    "a reply to seq 0": {"type": "send", "room": "a", "key": "k", "text": "x", "reply_to": 0},
    "a reply to a text": {"type": "send", "room": "a", "key": "k", "text": "x", "reply_to": "1"},
    "leave without a room": {"type": "leave"},
    "a second hello": {"type": "hello", "token": "x"},
}


@pytest.fixture(autouse=True)
async def undisturbed(place: Place, gateways: list[str]) -> AsyncIterator[None]:
    """Whatever a test does to the gateway, a clean client beside it goes on: acks and events, all in order."""
    async with connect(gateways[0], place.ann.token) as ann:
        await ann.join(place.room)
        before = await ann.send(place.room, "before")
        yield
        after = await ann.send(place.room, "after")
        shown = await ann.events(place.room, after["seq"])
        assert [event["seq"] for event in shown] == list(range(before["seq"], after["seq"] + 1))


@pytest.mark.parametrize("text", NO_FRAME.values(), ids=NO_FRAME.keys())
async def test_what_is_no_frame_ends_the_connection_with_4501(gateways: list[str], place: Place, text: str) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.socket.send(text)
        assert await bob.closed() == 4501


@pytest.mark.parametrize("text", NO_FRAME.values(), ids=NO_FRAME.keys())
async def test_whatever_comes_before_hello_ends_the_connection(gateways: list[str], text: str) -> None:
    async with connect(gateways[0]) as nobody:
        await nobody.socket.send(text)
        assert await nobody.closed() == 4501
        assert nobody.passed == []


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "join", "room": "general"},
        {"type": "send", "room": "general", "key": "k", "text": "x"},
        {"type": "ping"},
        {"type": "hello"},
        {"type": "hello", "token": 5},
        {"type": "hello", "token": "x" * 8_193},
    ],
    ids=lambda fields: str(fields)[:50],
)
async def test_the_first_frame_must_be_a_hello(gateways: list[str], fields: dict[str, Any]) -> None:
    async with connect(gateways[0]) as nobody:
        await nobody.say(**fields)
        assert await nobody.closed() == 4501


@pytest.mark.parametrize("fields", WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
async def test_a_frame_with_a_wrong_field_is_answered_and_the_connection_goes_on(
    gateways: list[str], place: Place, fields: dict[str, Any]
) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        error = await bob.error(**fields)
        assert (error["code"], error["temporary"]) == ("invalid", False)
        assert error["detail"]
        key, room = fields.get("key"), fields.get("room")
        if isinstance(key, str):
            assert error["key"] == key
        if isinstance(room, str):
            assert error["room"] == room
        assert (await bob.send(place.room, "still here"))["type"] == "ack"


@pytest.mark.parametrize("text", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
async def test_a_value_that_no_field_has_is_answered_with_the_key(gateways: list[str], place: Place, text: str) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.socket.send(text)
        error = await bob.expect("error")
        assert (error["frame"], error["key"], error["code"], error["temporary"]) == ("send", "k", "invalid", False)
        assert 0 < len(error["detail"]) <= 300
        assert (await bob.send(place.room, "still here"))["type"] == "ack"


@pytest.mark.parametrize("text", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
async def test_what_cannot_be_repeated_is_answered_without_it(gateways: list[str], place: Place, text: str) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        await bob.socket.send(text)
        error = await bob.expect("error")
        assert (error["code"], error["temporary"]) == ("invalid", False)
        assert (error["frame"], "key" in error) == (text.split('"')[3], False)
        assert (await bob.send(place.room, "still here"))["type"] == "ack"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f407" * 4_000,
        "x" * 4_000,
        "\0" * 9 + "x",
        "a\0b",
        "\x01" * 3_999 + "x",
        "\u202e\ufeff x",
        "'\"\\</script>$where",
        "\r\n.",
    ],
    ids=["astral", "ascii", "NUL", "NUL inside", "control characters", "direction marks", "quotes", "line break"],
)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as it is"])
async def test_any_text_of_4000_characters_is_stored_and_shown_as_it_was_sent(
    gateways: list[str], place: Place, text: str, escaped: bool
) -> None:
    async with (
        connect(gateways[0], place.bob.token) as bob,
        connect(gateways[1], place.ann.token) as ann,
    ):
        await ann.join(place.room)
        fields = {"type": "send", "room": place.room, "key": "k", "text": text}
        await bob.socket.send(json.dumps(fields, ensure_ascii=escaped))
        ack = await bob.expect("ack", "error")
        assert ack["type"] == "ack"
        assert (await ann.events(place.room, ack["seq"]))[-1]["text"] == text


async def test_a_key_of_64_characters_and_spaces_is_fine(gateways: list[str], place: Place) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        assert (await bob.send(place.room, "x", key="~" * 63 + " "))["type"] == "ack"


async def test_refusals_name_the_frame_and_the_reason(gateways: list[str], place: Place) -> None:
    async with connect(gateways[0], place.eve.token) as eve:
        unknown = await eve.error(type="join", room="no-such-room")
        assert (unknown["code"], unknown["room"]) == ("not_found", "no-such-room")
        nowhere = await eve.send("no-such-room", "x", key="k1")
        assert (nowhere["code"], nowhere["key"], nowhere["room"]) == ("not_found", "k1", "no-such-room")
        stranger = await eve.send(place.room, "x", key="k2")
        assert (stranger["code"], stranger["key"], stranger["room"]) == ("forbidden", "k2", place.room)
        assert (await eve.error(type="leave", room=place.room))["code"] == "not_found"
        ahead = await eve.error(type="send", room=place.room, key="k3", text="x", reply_to=10**30)
        assert ahead["code"] in ("forbidden", "invalid")
    async with connect(gateways[0], place.bob.token) as bob:
        ahead = await bob.error(type="send", room=place.room, key="k4", text="x", reply_to=10**30)
        assert ahead["code"] == "invalid"


async def test_a_reader_of_a_public_room_need_not_be_a_member(
    gateways: list[str], place: Place, broker: BrokerClient
) -> None:
    async with connect(gateways[0], place.eve.token) as eve:
        assert (await eve.join(place.room))["type"] == "joined"
        head = await broker.fill(place.room, place.ann.id, ["x"])
        assert (await eve.events(place.room, head))[-1]["seq"] == head


async def test_a_private_room_of_others_looks_as_if_it_did_not_exist(gateways: list[str], private: Place) -> None:
    missing = f"{private.room}-not"
    async with connect(gateways[0], private.eve.token) as eve:

        async def answers(room: str) -> list[str]:
            found = [
                await eve.error(type="join", room=room),
                await eve.error(type="join", room=room, since=0, epoch="e"),
                await eve.error(type="join", room=room, since=10**6),
                await eve.send(room, "x", key="k"),
                await eve.error(type="send", room=room, key="k", text="x", reply_to=1),
                await eve.error(type="leave", room=room),
            ]
            return [json.dumps(frame).replace(room, "ROOM") for frame in found]

        assert await answers(private.room) == await answers(missing)
    async with connect(gateways[0], private.ann.token) as ann:
        assert (await ann.join(private.room))["type"] == "joined"


async def test_a_connection_follows_no_more_rooms_than_its_limit(gateways: list[str], place: Place) -> None:
    async with connect(gateways[0], place.bob.token) as bob:
        for start in range(0, 210, 70):
            for number in range(start, start + 70):
                await bob.say(type="join", room=f"nowhere-{number}")
            errors = [await bob.expect("error") for _ in range(70)]
            # Joins that come to nothing do not count.
            assert {error["code"] for error in errors} == {"not_found"}
        assert (await bob.join(place.room))["type"] == "joined"


# Tokens.


def nested_header() -> str:
    """A token whose header is an array in an array in an array …"""
    header = base64.urlsafe_b64encode(b"[" * 6_000).rstrip(b"=").decode()
    return f"{header}.e30.x"


def bad_tokens() -> dict[str, str]:
    claims = {"sub": "mallory", "aud": "warren", "iss": "warren-guest", "exp": 4_000_000_000}
    return {
        "garbage": "garbage",
        "empty": "",
        "dots": "..",
        "another script": "ü.ü.ü",
        "NUL": "\0",
        "too deep": nested_header(),
        "foreign secret": token("mallory", secret="another-secret-another-secret-another-secret"),
        "expired": token("mallory", expires_in=-60),
        "alg none": jwt.encode(claims, "", algorithm="none"),
        "another alg": jwt.encode(claims, "only-for-tests-only-for-tests-only-for-tests" * 2, algorithm="HS512"),
        "no audience": token("mallory", aud=None),
        "another audience": token("mallory", aud="else"),
        "no issuer": token("mallory", iss=None),
        "another issuer": token("mallory", iss="else"),
        "no expiry": token("mallory", exp=None),
        "expiry in words": token("mallory", exp="tomorrow"),
        "no subject": token("mallory", sub=None),
        "a subject out of syntax": token("mal lory"),
        "an empty subject": token(""),
        "not yet valid": token("mallory", nbf=4_000_000_000),
    }


@pytest.mark.parametrize("bad", bad_tokens().values(), ids=bad_tokens().keys())
async def test_a_token_that_is_not_good_ends_the_connection_with_4503(gateways: list[str], bad: str) -> None:
    async with connect(gateways[0]) as nobody:
        await nobody.say(type="hello", token=bad)
        assert await nobody.closed() == 4503
        assert nobody.passed == []


async def test_who_says_nothing_in_time_is_sent_away_with_4502(gateways: list[str]) -> None:
    async with connect(gateways[0]) as silent, connect(gateways[0]) as pinging:

        async def ping() -> None:
            while True:
                await (await pinging.socket.ping())
                await asyncio.sleep(0.2)

        pings = asyncio.create_task(ping())
        try:
            assert [await silent.closed(), await pinging.closed()] == [4502, 4502]
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)


# Below the frames of the protocol: the frames of RFC 6455.


def padded(size: int) -> bytes:
    """Return a ping of so many bytes."""
    return b'{"type":"ping"}'.ljust(size)


BELOW: dict[str, tuple[bytes, int]] = {
    "a binary frame": (frame(b'{"type":"ping"}', BINARY), 4501),
    "an empty binary frame": (frame(b"", BINARY), 4501),
    "one byte over 64 KiB": (frame(padded(FRAME_LIMIT + 1)), 1009),
    "1 MiB": (frame(padded(2**20)), 1009),
    "8 MiB": (frame(padded(2**23)), 1009),
    "a header that announces 2**62 bytes": (frame(b"x" * 1_000, length=2**62), 1009),
    "64 KiB in pieces, and one more": (
        frame(padded(FRAME_LIMIT), fin=False) + frame(b" ", CONTINUATION, fin=True),
        1009,
    ),
    "invalid UTF-8": (frame(b'{"type":"ping\xff"}'), 1007),
    "a surrogate in UTF-8": (frame(b'{"type":"\xed\xa0\x80"}'), 1007),
    "UTF-8 that breaks off": (frame(b"\xf0\x9f\x90"), 1007),
    "invalid UTF-8, and a close behind it": (frame(b"\xff") + frame(b"\x03\xe8", CLOSE), 1007),
    "an opcode that does not exist": (frame(b"x", 0x5), 1002),
    "a continuation of nothing": (frame(b"x", CONTINUATION), 1002),
    "a frame without a mask": (b"\x81\x02{}", 1002),
}


@pytest.mark.parametrize(("data", "code"), BELOW.values(), ids=BELOW.keys())
async def test_bytes_that_are_no_text_frame_end_the_connection(
    stack: Stack, gateways: list[str], place: Place, data: bytes, code: int
) -> None:
    before = errors(stack.services)
    client = await raw_sign_in(gateways[0], place.bob.token)
    sending = asyncio.create_task(client.push(data))
    async with asyncio.timeout(30):
        found = await client.close_code()
        client.abort()
        await sending
    assert found == code
    assert [line for line in errors(stack.services) if line not in before] == []  # an attacker fills no log


async def test_a_frame_of_64_kib_and_one_in_pieces_are_fine(gateways: list[str], place: Place) -> None:
    client = await raw_sign_in(gateways[0], place.bob.token)
    try:
        await client.push(frame(padded(FRAME_LIMIT)))
        await client.read_json("pong")
        text = b'{"type":"ping"}'
        pieces = [frame(text[at : at + 1], CONTINUATION if at else TEXT, fin=False) for at in range(len(text))]
        await client.push(b"".join(pieces) + frame(b"", CONTINUATION))
        await client.read_json("pong")
    finally:
        client.abort()


async def test_a_hello_that_comes_byte_by_byte_is_a_hello(gateways: list[str], place: Place) -> None:
    client = await raw_connect(gateways[0])
    try:
        for byte in message(type="hello", token=place.bob.token):
            await client.push(bytes([byte]))
        assert (await client.read_json("welcome"))["user"]["id"] == place.bob.id
    finally:
        client.abort()


async def test_one_person_may_have_many_connections(gateways: list[str], place: Place, broker: BrokerClient) -> None:
    async with (
        connect(gateways[0], place.bob.token) as one,
        connect(gateways[0], place.bob.token) as two,
    ):
        await one.join(place.room)
        await two.join(place.room)
        head = await broker.fill(place.room, place.ann.id, ["x"])
        assert (await one.events(place.room, head))[-1] == (await two.events(place.room, head))[-1]
