"""Messages out of frames: whole, in order and of their kind, however they were cut and whatever came between."""

from itertools import pairwise

import pytest
from harness.raw_clients import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame
from hypothesis import given
from hypothesis import strategies as st
from warren.contract.codes import Close
from warren_gateway.transports import websocket_frames as ws
from warren_gateway.transports import websocket_messages
from warren_gateway.transports.websocket_messages import Message, MessageReader

LIMIT = 300
PONG = 0xA


def read(reader: MessageReader, *pieces: bytes) -> list[Message]:
    """Return what is read of these pieces, without the fragments that complete nothing."""
    found: list[Message] = []
    for piece in pieces:
        reader.feed(piece)
        while (one := reader.next()) is not None:
            if one != (CONTINUATION, b""):
                found.append(one)
    return found


def in_fragments(opcode: int, parts: list[bytes], between: list[Message]) -> bytes:
    """Return a message in these parts, with control frames after the first ones."""
    wire = b""
    for at, part in enumerate(parts):
        wire += frame(part, CONTINUATION if at else opcode, fin=at == len(parts) - 1)
        if at < len(between) and at < len(parts) - 1:
            wire += frame(between[at][1], between[at][0])
    return wire


CONTROL = st.tuples(st.sampled_from((PING, PONG)), st.binary(max_size=125))
MESSAGE = st.tuples(
    st.sampled_from((TEXT, BINARY)),
    st.lists(st.binary(max_size=20), min_size=1, max_size=8),
    st.lists(CONTROL, max_size=3),
)


@given(st.lists(MESSAGE, max_size=5), st.lists(st.integers(0, 2_000), max_size=10))
def test_what_was_sent_is_read_however_it_was_cut(
    messages: list[tuple[int, list[bytes], list[Message]]], cuts: list[int]
) -> None:
    wire = b"".join(in_fragments(*one) for one in messages)
    expected: list[Message] = []
    for opcode, parts, between in messages:
        expected += between[: len(parts) - 1]
        expected.append((opcode, b"".join(parts)))
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = [wire[one:other] for one, other in pairwise(places)]
    assert read(MessageReader(LIMIT), *pieces) == expected


def test_fragments_are_told_of_since_somebody_has_to_count_them() -> None:
    reader = MessageReader(LIMIT)
    reader.feed(frame(b"a", fin=False) + frame(b"", CONTINUATION, fin=False) + frame(b"b", CONTINUATION))
    assert [reader.next() for _ in range(4)] == [(CONTINUATION, b""), (CONTINUATION, b""), (TEXT, b"ab"), None]


def test_so_many_fragments_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_messages, "FRAGMENTS", 3)
    most = frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 2
    assert read(MessageReader(LIMIT), most + frame(b"", CONTINUATION)) == [(TEXT, b"")]
    with pytest.raises(ws.FrameError) as caught:
        read(MessageReader(LIMIT), most + frame(b"", CONTINUATION, fin=False))
    assert caught.value.code == Close.BAD_FRAME


def test_what_is_forgotten_is_no_part_of_what_comes() -> None:
    reader = MessageReader(LIMIT)
    assert read(reader, frame(b"x") + frame(b"", CLOSE) + frame(b"y")[:3]) == [(TEXT, b"x"), (CLOSE, b"")]
    reader.clear()
    assert read(reader, frame(b"z")) == [(TEXT, b"z")]
