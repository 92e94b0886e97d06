"""Frames below the protocol: every rule of RFC 6455 that a client can break, and the same as another implementation."""

import itertools
from dataclasses import dataclass

import pytest
from harness.raw_clients import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame
from hypothesis import example, given
from hypothesis import strategies as st
from warren_gateway.transports import websocket_frames as ws
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

LIMIT = 300
PONG = 0xA


@dataclass(slots=True)
class Outcome:
    """Frames that were read, and the code with which reading ended, if it did; a close ends it, too."""

    frames: list[ws.Frame]
    code: int | None = None


def read(pieces: list[bytes], limit: int = LIMIT) -> Outcome:
    """Read what comes in these pieces."""
    reader, found = ws.FrameReader(limit), Outcome([])
    try:
        for piece in pieces:
            reader.feed(piece)
            while (one := reader.next()) is not None:
                if one[0] == CLOSE:
                    ws.check_close(one[2])
                found.frames.append(one)
                if one[0] == CLOSE:
                    return found
    except ws.FrameError as error:
        found.code = error.code
    return found


def read_by_library(pieces: list[bytes]) -> Outcome:
    """Have the `websockets` library read them."""
    protocol, found = ServerProtocol(state=OPEN, max_size=LIMIT), Outcome([])
    for piece in pieces:
        protocol.receive_data(piece)
        for event in protocol.events_received():
            assert not isinstance(event, Request)
            assert isinstance(event, Frame)
            found.frames.append((int(event.opcode), event.fin, bytes(event.data)))
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        found.code = int(protocol.close_sent.code)
    return found


def with_length(payload: bytes, size: int, first: int = 0x80 | TEXT) -> bytes:
    """Return a frame that says its length in 2 or 8 bytes, whether it has to or not."""
    length = len(payload).to_bytes(size)
    return bytes((first, 0x80 | (126 if size == 2 else 127))) + length + b"\0\0\0\0" + payload


GOOD: dict[str, tuple[bytes, list[ws.Frame]]] = {
    "nothing": (b"", []),
    "a text": (frame(b"hi"), [(TEXT, True, b"hi")]),
    "an empty text": (frame(b""), [(TEXT, True, b"")]),
    "binary": (frame(b"\0\xff", BINARY), [(BINARY, True, b"\0\xff")]),
    "125 bytes": (frame(b"x" * 125), [(TEXT, True, b"x" * 125)]),
    "126 bytes": (frame(b"x" * 126), [(TEXT, True, b"x" * 126)]),
    "as long as may be": (frame(b"x" * LIMIT), [(TEXT, True, b"x" * LIMIT)]),
    "a length of 8 bytes that needs one": (with_length(b"hi", 8), [(TEXT, True, b"hi")]),
    "fragments": (
        frame(b"a", fin=False) + frame(b"", CONTINUATION, fin=False) + frame(b"b", CONTINUATION),
        [(TEXT, False, b"a"), (CONTINUATION, False, b""), (CONTINUATION, True, b"b")],
    ),
    "control frames between fragments": (
        frame(b"a", fin=False) + frame(b"p", PING) + frame(b"q", PONG) + frame(b"b", CONTINUATION),
        [(TEXT, False, b"a"), (PING, True, b"p"), (PONG, True, b"q"), (CONTINUATION, True, b"b")],
    ),
    "a message after one in fragments that was as long as may be": (
        frame(b"x" * 200, fin=False) + frame(b"x" * 100, CONTINUATION) + frame(b"x" * LIMIT),
        [(TEXT, False, b"x" * 200), (CONTINUATION, True, b"x" * 100), (TEXT, True, b"x" * LIMIT)],
    ),
    "a ping as long as may be": (frame(b"x" * 125, PING), [(PING, True, b"x" * 125)]),
    "a close without a code": (frame(b"", CLOSE), [(CLOSE, True, b"")]),
    "a close with code and reason": (frame(b"\x03\xe8bye", CLOSE), [(CLOSE, True, b"\x03\xe8bye")]),
    "a close with a code of one's own": (frame(b"\x0f\xa0", CLOSE), [(CLOSE, True, b"\x0f\xa0")]),
    "what comes after a close": (frame(b"", CLOSE) + b"\xff\xff", [(CLOSE, True, b"")]),
}
BAD: dict[str, tuple[bytes, int]] = {
    "no mask": (b"\x81\x00", 1002),
    "the first reserved bit": (with_length(b"", 2, 0xC1), 1002),
    "the second": (with_length(b"", 2, 0xA1), 1002),
    "the third": (with_length(b"", 2, 0x91), 1002),
    **{f"opcode {code:#x}": (frame(b"", code), 1002) for code in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    "a fragment of nothing": (frame(b"x", CONTINUATION), 1002),
    "a text within a message": (frame(b"a", fin=False) + frame(b"b"), 1002),
    "binary within a message": (frame(b"a", fin=False) + frame(b"b", BINARY), 1002),
    "a fragment after the last": (frame(b"a", fin=False) + frame(b"b", CONTINUATION) + frame(b"c", CONTINUATION), 1002),
    "a ping in fragments": (frame(b"", PING, fin=False), 1002),
    "a close in fragments": (frame(b"", CLOSE, fin=False), 1002),
    "a ping of 126 bytes": (frame(b"x" * 126, PING), 1002),
    "a close of one byte": (frame(b"\x03", CLOSE), 1002),
    **{
        f"close code {code}": (frame(code.to_bytes(2), CLOSE), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
    },
    "a reason that is not UTF-8": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    "a close within a message": (frame(b"a", fin=False) + frame(b"", CLOSE), 1002),
    "one byte too many": (frame(b"x" * (LIMIT + 1)), 1009),
    "one byte too many, in fragments": (frame(b"x" * LIMIT, fin=False) + frame(b"x", CONTINUATION), 1009),
    "a length of which no byte has come": (b"\x81\xff" + (2**62).to_bytes(8), 1009),
    "a length of 64 bits": (b"\x81\xff" + b"\xff" * 8, 1009),
}


@pytest.mark.parametrize(("data", "frames"), GOOD.values(), ids=GOOD.keys())
def test_what_a_client_may_send_is_read_however_it_is_cut(data: bytes, frames: list[ws.Frame]) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        assert read(pieces) == Outcome(frames)
    for at in range(len(data)):
        assert read([data[:at], data[at:]]) == Outcome(frames)


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_what_a_client_may_not_send_ends_the_reading_however_it_is_cut(data: bytes, code: int) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        assert read(pieces).code == code
        assert read_by_library(pieces).code == code


@pytest.mark.parametrize("data", [b"\x81\x00", b"\xc1\x80", b"\x83\x80", b"\x09\x80", b"\x88\xfe", b"\x80\x80"])
def test_a_head_that_is_wrong_is_told_by_its_first_two_bytes(data: bytes) -> None:
    assert read([data[:1]]).code is None
    assert read([data]).code == 1002


@st.composite
def wire_frames(draw: st.DrawFn) -> bytes:
    """Draw a frame, most of which are good."""
    rarely = st.integers(0, 19).map(lambda number: number == 0)
    opcode = draw(st.one_of(st.sampled_from((TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE)), st.integers(0, 15)))
    first = opcode | (0x80 if draw(st.booleans()) or (opcode & 8 and not draw(rarely)) else 0)
    if draw(rarely):
        first |= draw(st.sampled_from((0x10, 0x20, 0x40)))
    payload = draw(st.one_of(st.binary(max_size=20), st.integers(100, LIMIT + 20).map(bytes)))
    if opcode == CLOSE and draw(st.booleans()):
        payload = draw(st.integers(990, 5_010)).to_bytes(2) + payload[:20]
    sizes = (0, 2, 8) if len(payload) <= 125 else (2, 8)
    # A control frame that says its length in more than one byte is refused here by its head alone.
    size = 0 if opcode & 8 and len(payload) <= 125 else draw(st.sampled_from(sizes))
    if draw(rarely):
        return bytes((first, min(len(payload), 125))) + payload[:125]  # no mask
    mask = draw(st.binary(min_size=4, max_size=4))
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    length = bytes((0x80 | len(payload),)) if not size else bytes((0x80 | (126 if size == 2 else 127),))
    return bytes((first,)) + length + (len(payload).to_bytes(size) if size else b"") + mask + masked


@given(st.lists(wire_frames(), max_size=8), st.lists(st.integers(0, 600), max_size=8))
@example([frame(b"a", fin=False), frame(b"", PING), frame(b"b", CONTINUATION)], [3, 9])
def test_it_reads_what_the_library_reads(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    ours, theirs = read(pieces), read_by_library(pieces)
    assert ours.frames == theirs.frames
    # A frame may break two rules at once; which of them is named is nobody's business.
    assert (ours.code is None) == (theirs.code is None)


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    ours, theirs = read([data]), read_by_library([data])
    assert ours.frames == theirs.frames
    assert theirs.code is None or ours.code is not None


def test_a_frame_that_comes_byte_by_byte_is_not_copied_for_each() -> None:
    """What is kept has a bound, and is let go of with the frame."""
    limit = 64 * 1024
    reader, data = ws.FrameReader(limit), frame(b"x" * limit)
    kept = []
    for at in range(len(data) - 1):
        reader.feed(data[at : at + 1])
        assert reader.next() is None
        kept.append(reader._data)
    assert len({id(buffer) for buffer in kept}) == 2  # the first byte, and what all others were added to
    reader.feed(data[-1:])
    assert reader.next() == (TEXT, True, b"x" * limit)
    assert reader.next() is None
    assert reader._data == b""


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_what_is_written_is_what_the_library_writes(length: int) -> None:
    payload = b"x" * length
    assert ws.frame(ws.TEXT, payload) == Frame(ws.TEXT, payload).serialize(mask=False)  # type: ignore[arg-type]
    assert ws.close_frame(4_001, "going") == ws.frame(ws.CLOSE, b"\x0f\xa1going")


@pytest.mark.parametrize("reason", ["", "x" * 123, "x" * 124, "é" * 62, "é" * 100])
def test_a_close_is_one_however_long_its_reason(reason: str) -> None:
    written = ws.close_frame(4_503, reason)
    assert written[0] == 0x80 | CLOSE
    assert written[1] == len(written) - 2 <= 125
    ws.check_close(written[2:])
    assert reason.startswith(written[4:].decode())
