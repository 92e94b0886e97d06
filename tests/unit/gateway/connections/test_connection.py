"""A connection without its servers: what it takes at once, and exceptions that nobody foresaw, which cost it alone."""

import asyncio
import json
import time
from typing import Any

import pytest
from harness.stack import SECRET
from harness.tokens import token
from warren.broker.command_client import CommandClient, by_shard
from warren.broker.publisher import Publisher
from warren.contract.codes import Close
from warren.contract.frames import Error, Joined, Left, ServerFrame
from warren.rates import Buckets, Rate
from warren_gateway.auth.authenticator import Authenticator, Secret
from warren_gateway.auth.tokens import SYMMETRIC, Rules, User
from warren_gateway.connections.connection import Connection
from warren_gateway.connections.limits import ConnectionLimits, PersonLimits
from warren_gateway.connections.protocol import ClientProtocol
from warren_gateway.delivery.batch import EventBatch, Frame, pack
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.registry import RoomRegistry
from warren_gateway.rooms.subscription import Subscription

PLENTY = Rate(1_000, 1_000)
LIMITS = ConnectionLimits(PLENTY, PLENTY, PLENTY, PLENTY, PLENTY, PLENTY, unanswered=10, rooms=10)
JOIN = '{"type":"join","room":"general"}'


class BrokenRegistry(RoomRegistry):
    """Has a fault that nobody foresaw."""

    def __init__(self) -> None:
        self.left: list[str] = []

    async def join(self, *_: Any) -> None:
        """Fail."""
        raise RuntimeError("nobody foresaw this")

    def leave(self, subscription: Subscription) -> None:
        """Take note."""
        self.left.append(subscription.room)


class RecordingTransport:
    """A transport that keeps what it is given; `broken`: it fails."""

    name = "websocket"

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.sent: list[ServerFrame] = []
        self.ended: list[int] = []

    def send_frame(self, frame: ServerFrame) -> None:
        """Keep it."""
        if self.broken:
            raise RuntimeError("nobody foresaw this")
        self.sent.append(frame)

    def broadcast(self, frame: Frame) -> None:
        """Fail or not."""
        if self.broken:
            raise RuntimeError("nobody foresaw this")

    async def drained(self) -> bool:
        """Say that more can be sent."""
        return True

    def end(self, code: Close, reason: str) -> None:
        """Keep it."""
        self.ended.append(code)


def client(transport: RecordingTransport, registry: RoomRegistry) -> Connection:
    """Return somebody's connection."""
    people = PersonLimits(messages=PLENTY, changes=PLENTY, reads=PLENTY, joins=PLENTY, typing=PLENTY, connections=10)
    publisher = Publisher(confirm=False)
    session = ClientProtocol(LIMITS, people, time.monotonic())
    presence = PresenceClient("test/1")
    found = Connection(transport, session, "127.0.0.1", None, registry, presence, CommandClient(publisher, by_shard))  # type: ignore[arg-type]
    found.admit(User("ann", "Ann", time.time() + 3_600))
    return found


def stranger(transport: RecordingTransport) -> Connection:
    """Return the connection of somebody who has not said hello."""
    people = PersonLimits(messages=PLENTY, changes=PLENTY, reads=PLENTY, joins=PLENTY, typing=PLENTY, connections=10)
    auth = Authenticator(Secret(SECRET), Rules(SYMMETRIC, "warren-guest", "warren"), Buckets(PLENTY))
    commands = CommandClient(Publisher(confirm=False), by_shard)
    protocol = ClientProtocol(LIMITS, people, time.monotonic())
    presence = PresenceClient("test/1")
    return Connection(transport, protocol, "127.0.0.1", auth, BrokenRegistry(), presence, commands)


def batch() -> EventBatch:
    return pack("general", [{"seq": 1, "type": "message", "text": "x"}], 1)


async def test_a_join_that_fails_is_answered_and_may_be_tried_again() -> None:
    transport, registry = RecordingTransport(), BrokenRegistry()
    one = client(transport, registry)
    for _ in range(2):
        transport.sent.clear()
        one.receive(JOIN)
        async with asyncio.timeout(10):
            await one.joins_done()
        (error,) = transport.sent
        assert isinstance(error, Error)
        assert (error.frame, error.room, error.code, error.temporary) == ("join", "general", "unavailable", True)
    assert transport.ended == []
    assert registry.left == ["general", "general"]


@pytest.mark.parametrize(
    "happens",
    [
        lambda one: one.broadcast(batch()),
        lambda one: one.broadcast_ephemeral(batch()),
        lambda one: one.subscription_ended(Left(room="general")),
        lambda one: one.subscription_lost("general"),
        lambda one: one.send(Joined(room="general", epoch="e", head=1, number=1, read=0, reset=False)),
        lambda one: one.dismiss(),
    ],
)
async def test_a_connection_that_fails_is_closed_so_that_it_comes_back_and_whoever_gives_goes_on(happens: Any) -> None:
    transport = RecordingTransport()
    one = client(transport, BrokenRegistry())
    transport.broken = True
    happens(one)
    assert Close.FAILED in transport.ended
    assert Close.FAILED < 4_500  # the client comes back


async def test_a_frame_that_makes_it_fail_closes_its_own_connection() -> None:
    transport = RecordingTransport()
    one = client(transport, BrokenRegistry())
    transport.broken = True
    one.receive('{"type":"ping"}')
    assert transport.ended == [Close.FAILED]


async def test_what_fails_when_it_goes_keeps_nothing_of_the_rest() -> None:
    class StuckRegistry(BrokenRegistry):
        def leave(self, subscription: Subscription) -> None:
            raise RuntimeError("nobody foresaw this")

    one = client(RecordingTransport(), StuckRegistry())
    one.close()
    assert len(one._protocol.people.connections) == 0


async def test_a_hello_waits_for_nothing_and_a_token_after_it_for_its_turn() -> None:
    """There may be hundreds of those in what is read at once, and each of them would be checked before anybody else's
    frames."""
    transport = RecordingTransport()
    one = stranger(transport)
    assert one.receive(json.dumps({"type": "hello", "token": token("ann")})) is None
    assert [frame.type for frame in transport.sent] == ["welcome"]
    checking = one.receive(json.dumps({"type": "auth", "token": token("ann", expires_in=60)}))
    assert checking is not None
    await checking
    assert [frame.type for frame in transport.sent] == ["welcome", "renewed"]


async def test_a_bad_hello_is_the_end_at_once() -> None:
    transport = RecordingTransport()
    assert stranger(transport).receive('{"type":"hello","token":"bad"}') is None
    assert transport.ended == [Close.TOKEN_REFUSED]
