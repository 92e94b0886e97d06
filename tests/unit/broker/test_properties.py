"""Whatever stands in a message's properties, the message is read, and the connection is there for the next one."""

import struct

import hypothesis.strategies as st
import pamqp.frame
import pytest
from harness.message_strategies import UNREADABLE, short_string
from hypothesis import given, settings
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from warren.broker.identity import reply_queue

FLAGS = st.integers(0, 2**15 - 1).map(lambda flags: flags << 1)


def header(properties: bytes) -> ContentHeader:
    payload = struct.pack(">HHQ", 60, 0, 5) + properties
    frame = struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"
    found = pamqp.frame.unmarshal(frame)[2]
    assert isinstance(found, ContentHeader)
    return found


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_comes_from_nobody(properties: bytes) -> None:
    found = header(properties)
    assert found.body_size == 5
    assert not found.properties.user_id
    assert not found.properties.headers
    assert reply_queue(found.properties.user_id, found.properties.reply_to) is None


@settings(max_examples=300, deadline=None)
@given(FLAGS, st.binary(max_size=60))
def test_no_properties_end_a_connection(flags: int, properties: bytes) -> None:
    assert header(struct.pack(">H", flags) + properties).body_size == 5


def test_a_routing_key_that_is_no_text_is_empty() -> None:
    payload = (
        struct.pack(">HH", 60, 60)
        + short_string(b"ctag")
        + struct.pack(">QB", 7, 0)
        + short_string(b"warren.bots")
        + short_string(b"\xff")
    )
    found = pamqp.frame.unmarshal(struct.pack(">BHI", 1, 1, len(payload)) + payload + b"\xce")[2]
    assert isinstance(found, Basic.Deliver)
    assert (found.delivery_tag, found.exchange, found.routing_key) == (7, "warren.bots", "")


def test_what_can_be_read_is_read() -> None:
    properties = Basic.Properties(
        user_id="bot.ünï", reply_to="bot.ünï.0", headers={"epoch": "e", "first": 1, "ends": "[]"}, timestamp=None
    )
    found = header(properties.marshal()).properties
    assert (found.user_id, found.reply_to, found.headers) == (
        properties.user_id,
        properties.reply_to,
        properties.headers,
    )
