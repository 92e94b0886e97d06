"""Hypothesis strategies for messages to the broker: valid ones, mutated ones, and bytes that are no message at all."""

import json
import struct
from typing import Any

import hypothesis.strategies as st
from pamqp.commands import Basic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
"""Any JSON value, NaN, infinity and lone surrogates included."""
IDS = st.sampled_from(["same", "same", "other", "", "x" * 64])
"""Few, so that they meet."""
INVALID = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())


def mutated(good: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects like the good ones, of which a field or two is something else, missing, or new."""

    def mangle(value: dict[str, Any], changes: list[tuple[int, Any]], missing: set[int]) -> dict[str, Any]:
        names = [*value, "unheard_of"]
        found = {**value, **{names[number % len(names)]: junk for number, junk in changes}}
        for number in missing:
            found.pop(names[number % len(names)], None)
        return found

    numbers = st.integers(0, 20)
    return st.builds(mangle, good, st.lists(st.tuples(numbers, JSON), max_size=2), st.sets(numbers, max_size=1))


def commands(room: str, people: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return commands for one room, with few ids and keys, so that these cross."""
    who = st.sampled_from(people)
    common = {"id": IDS, "room": st.just(room), "sender": who, "name": st.text(max_size=5)}
    common |= {"key": st.sampled_from(["k1", "k2", "k3", "k4"])}
    kinds: list[dict[str, st.SearchStrategy[Any]]] = [
        {"type": st.just("send"), "text": st.sampled_from(["a", "b"])},
        {"type": st.just("send"), "text": st.text(min_size=1), "reply_to": st.integers(1, 2**53)},
        {"type": st.just("join")},
        {"type": st.just("leave")},
        {"type": st.just("room.create"), "kind": st.just("public"), "title": st.just("T")},
        {"type": st.sampled_from(["invite", "remove", "mute", "unmute", "ban", "unban"]), "user": who},
        {"type": st.just("role"), "user": who, "role": st.sampled_from(["owner", "moderator", "member"])},
    ]
    return st.one_of(*(st.fixed_dictionaries({**common, **kind}) for kind in kinds))


class Bytes(Basic.Properties):
    """Properties that go out as these bytes, which need not be any that a library would write."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(message_id="-")
        self.raw = raw

    def marshal(self) -> bytes:
        """Return the bytes."""
        return self.raw


def short_string(text: bytes) -> bytes:
    """Return a short string as AMQP has it."""
    return bytes([len(text)]) + text


def _table(body: bytes) -> bytes:
    return struct.pack(">HI", 1 << 13, len(body)) + body


def _nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = b"A" + struct.pack(">I", len(body)) + body
    return _table(short_string(b"deep") + body)


UNREADABLE = {
    "a text that is not UTF-8": struct.pack(">H", 1 << 3) + short_string(b"\xff\xfe"),
    "a moment in the year 146140482": struct.pack(">HQ", 1 << 6, 2**62),
    "a header whose name is not UTF-8": _table(short_string(b"\xff") + b"I" + struct.pack(">i", 5)),
    "a header of the year 146140482": _table(short_string(b"a") + b"T" + struct.pack(">Q", 2**62)),
    "arrays in arrays": _nested(2_000),
}
"""Properties that RabbitMQ delivers and pamqp does not read, as bytes."""
