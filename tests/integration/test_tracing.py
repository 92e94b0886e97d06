"""One trace of one message, from the frame to the last socket, over both hops of the broker."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import BASE_PORT
from harness.collector import Collector, Span, collecting
from harness.observability import until
from harness.scripted_client import connect
from harness.stack import Stack
from harness.waterfall import waterfall
from integration.conftest import Place, new_place

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "trace.svg"
PATH = [
    ("warren-gateway", "command send"),
    ("warren-gateway", "send warren.commands"),
    ("warren-persistence", "process warren.commands.NN"),
    ("warren-persistence", "commit"),
    ("warren-persistence", "send warren.events"),
    ("warren-gateway", "process warren.events"),
    ("warren-gateway", "process warren.events"),
]
REQUEST = "POST /v1/rooms/{room}/messages"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def stack(home: Path, collector: Collector) -> Iterator[Stack]:
    """A stack of its own, since this one tells what it does."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    stack = Stack(home / "traced", BASE_PORT + 1_500, persistence=1, env=env)
    with stack.running():
        yield stack


@pytest.fixture
async def place(http: httpx.AsyncClient, gateways: list[str]) -> Place:
    return await new_place(http, gateways[0])


def named(span: Span) -> tuple[str, str]:
    name = span.name
    return span.service, name[:-2] + "NN" if name.startswith("process warren.commands.") else name


async def test_a_message_can_be_followed_from_the_frame_to_the_last_socket(
    place: Place, gateways: list[str], collector: Collector, http: httpx.AsyncClient
) -> None:
    async with (
        connect(gateways[0], place.ann.token) as ann,
        connect(gateways[1], place.bob.token) as bob,
    ):
        await ann.join(place.room)
        await bob.join(place.room)
        sent = await ann.send(place.room, "follow me")
        await ann.events(place.room, sent["seq"])
        await bob.events(place.room, sent["seq"])

    def mine() -> list[list[Span]]:
        return [trace for trace in collector.traces() if any(span.name == "command send" for span in trace)]

    until(
        lambda: sorted(named(span) for trace in mine() for span in trace) == sorted(PATH)
    )  # each process tells its own
    (trace,) = mine()
    by_name = {named(span): span for span in trace}
    frame, published, processed, committed, told = (by_name[step] for step in PATH[:5])
    assert frame.parent == b""
    assert frame.attributes["warren.outcome"] == "stored"
    assert published.parent == frame.id
    assert processed.parent == published.id
    assert (committed.parent, told.parent) == (processed.id, processed.id)
    assert {span.parent for span in trace if named(span) == PATH[-1]} == {told.id}
    assert published.attributes["messaging.system"] == "rabbitmq"
    assert frame.start <= published.start <= committed.end <= told.start
    await http.post(f"{gateways[0]}/v1/rooms/{place.room}/messages", json={"text": "me too"}, headers=place.ann.headers)

    def requests() -> list[tuple[Span, Span]]:
        """Return the requests that are here, each with the command that it became, whichever came first."""
        found = [{span.name: span for span in trace} for trace in mine()]
        return [(spans[REQUEST], spans["command send"]) for spans in found if REQUEST in spans]

    until(lambda: len(requests()) == 1)
    ((request, command),) = requests()
    assert command.parent == request.id
    texts = [value for span in trace for value in span.attributes.values()]
    assert not [text for text in texts if "follow me" in text or place.ann.id in text]  # nor what was said, nor by whom
    if os.environ.get("WARREN_SCREENSHOTS"):
        PICTURE.write_text(waterfall(trace))
