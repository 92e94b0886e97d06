"""Server-Sent Events without a network: what is written, what waits, how it ends."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from warren.contract.codes import Close
from warren.contract.frames import Bye, Joined, Left, Pong
from warren_gateway.delivery.batch import EventBatch, Frame, pack
from warren_gateway.transports.cursors import Cursors
from warren_gateway.transports.event_stream import RETRY_FROM, RETRY_TO, SseTransport

ROOM = "general"
EPOCH = "e1"
BOUND = 10_000


def message(seq: int, size: int = 10) -> dict[str, Any]:
    return {"seq": seq, "type": "message", "text": "x" * size}


def batch(first: int, last: int, size: int = 10) -> EventBatch:
    return pack(ROOM, [message(seq, size) for seq in range(first, last + 1)], last)


def joined(head: int = 0) -> Joined:
    return Joined(room=ROOM, epoch=EPOCH, head=head, number=head, read=0, reset=False)


class Sink:
    """A response's body that keeps what is written; a reader takes it when the test says so."""

    def __init__(self) -> None:
        self.written = b""
        self.taken = 0
        self.closed = False
        self.moved = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self.written) - self.taken

    def write(self, data: bytes) -> None:
        self.written += data

    async def drained(self) -> bool:
        while self.waiting and not self.closed:
            await self.moved.wait()
        return not self.closed

    def read(self) -> list[dict[str, str]]:
        """Return what has been written since the last time, event by event."""
        text = self.written[self.taken :].decode()
        self.taken = len(self.written)
        self.moved.set()
        assert not text or text.endswith("\n\n")
        return [dict(line.split(": ", 1) for line in event.splitlines()) for event in text.split("\n\n") if event]


def stream(sink: Sink, ended: Callable[[], object] = lambda: None) -> SseTransport:
    return SseTransport(sink, Cursors.parse([ROOM], f"{EPOCH}.0"), BOUND, ended)


def data(event: dict[str, str]) -> Any:
    return json.loads(event["data"])


def test_it_begins_with_when_to_come_back() -> None:
    sink = Sink()
    stream(sink).begin()
    (retry,) = sink.read()
    assert RETRY_FROM <= int(retry["retry"]) <= RETRY_TO


def test_each_event_that_moves_the_client_carries_where_it_is_then() -> None:
    sink = Sink()
    one = stream(sink)
    one.send_frame(joined(head=5))
    one.broadcast(batch(1, 3))
    one.broadcast(Frame(ROOM, b'{"type":"typing"}', kind="typing"))
    one.broadcast(batch(4, 5))
    one.send_frame(Left(room=ROOM, seq=5, because="member.removed"))
    events = sink.read()
    assert [event["event"] for event in events] == ["joined", "events", "typing", "events", "left"]
    assert [event.get("id") for event in events] == ["e1.0", "e1.3", None, "e1.5", "."]
    assert data(events[1]) == {"type": "events", "room": ROOM, "events": [message(seq) for seq in (1, 2, 3)]}


def test_the_end_says_why_and_nothing_follows() -> None:
    sink = Sink()
    ends: list[None] = []
    one = stream(sink, lambda: ends.append(None))
    one.end(Close.TOKEN_REFUSED, "the token has expired")
    one.end(Close.GOING_AWAY, "again")
    one.send_frame(Pong())
    one.keep_alive()
    (bye,) = sink.read()
    assert data(bye) == {"type": "bye", "code": 4503, "after_ms": 0}
    assert one.over.is_set()
    assert ends == [None]


def test_a_bye_that_was_said_is_not_said_again() -> None:
    sink = Sink()
    one = stream(sink)
    one.send_frame(Bye(code=Close.TOO_MANY, after_ms=30_000))
    one.end(Close.TOO_MANY, "too many")
    (bye,) = sink.read()
    assert data(bye)["after_ms"] == 30_000


def test_who_does_not_read_is_cut_at_the_bound_and_told_so() -> None:
    sink = Sink()
    one = stream(sink)
    seq = 0
    while not one.over.is_set():
        seq += 1
        one.broadcast(batch(seq, seq, size=1_000))
    assert BOUND - 1_200 < sink.waiting < BOUND + 100
    *events, bye = sink.read()
    assert [event["id"] for event in events] == [f"e1.{number}" for number in range(1, seq)]
    assert data(bye)["code"] == 4008


async def test_a_reader_is_waited_for_and_one_that_has_gone_is_not() -> None:
    for reads in (True, False):
        sink = Sink()
        one = stream(sink)
        one.broadcast(batch(1, 1))
        waiting = asyncio.create_task(one.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        if reads:
            sink.read()
        else:
            sink.closed = True
            sink.moved.set()
        assert await waiting is reads
